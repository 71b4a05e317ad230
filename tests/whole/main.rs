//! The product as a whole: its own binary, chart and kinds in the local world (`tests/world`).

mod manifests;
