//! The written schema is the code's.

use std::path::Path;

#[test]
fn the_written_schema_is_current() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("railway.graphql");
    let sdl = simulator::sdl();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&file, &sdl).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == sdl,
        "tests/simulator/railway.graphql is not the code's schema; write it anew with\n    \
         UPDATE_SCHEMA=1 cargo test -p simulator the_written_schema_is_current"
    );
}
