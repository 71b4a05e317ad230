//! Laws: what holds for the pass over the engine in a simulated world, whatever fails and whenever.
//!
//! Read [`scene`] first (the world, and what is asserted at every single change), then [`story`] (how a run with
//! troubles is compared with the undisturbed one). Each other file is a family of laws. A failing law prints the story,
//! its troubles and every effect; random ones print their seed.

mod portrait;
mod provider;
mod scene;
mod story;

mod answers;
mod crashes;
mod ownership;
mod phases;
mod undisturbed;
