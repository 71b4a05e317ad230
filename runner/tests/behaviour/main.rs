//! The runner's own binary with a fake harness behind it.

mod door;
mod footprint;
mod images;
mod life;
mod output;
mod passing;
mod running;
mod telling;
