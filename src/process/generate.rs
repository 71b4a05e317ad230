//! Files that are made from code: the CRDs, once for people and once for the chart. `cargo generate` rewrites them, and
//! a test compares them.

use crate::api::crds;
use kube::ResourceExt;
use std::path::{Path, PathBuf};

/// Every generated file, by its path in a checkout.
///
/// # Errors
/// Where a CRD cannot be written as YAML.
pub fn files() -> Result<Vec<(PathBuf, String)>, serde_yaml_ng::Error> {
    let mut files = Vec::new();
    for crd in crds() {
        let text = format!(
            "# Made by `cargo generate`; do not edit.\n{}",
            serde_yaml_ng::to_string(&crd)?
        );
        let name = format!("{}.yaml", crd.name_any());
        files.push((Path::new("crds").join(&name), text.clone()));
        files.push((Path::new("charts/yardmaster/files/crds").join(&name), text));
    }
    Ok(files)
}

/// All CRDs as one YAML stream.
///
/// # Errors
/// Where a CRD cannot be written as YAML.
pub fn stream() -> Result<String, serde_yaml_ng::Error> {
    let mut text = String::new();
    for crd in crds() {
        text.push_str("---\n");
        text.push_str(&serde_yaml_ng::to_string(&crd)?);
    }
    Ok(text)
}

/// Writes every generated file into a checkout.
///
/// # Errors
/// Where a file cannot be written.
pub fn write(checkout: &Path) -> std::io::Result<()> {
    for (path, text) in files().map_err(std::io::Error::other)? {
        let path = checkout.join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_files_are_what_the_code_makes_of_them() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (path, text) in files().unwrap() {
            let found = std::fs::read_to_string(checkout.join(&path)).unwrap_or_default();
            assert!(
                found == text,
                "{} is not what the code makes of it: run `cargo generate`",
                path.display()
            );
        }
    }

    #[test]
    fn every_crd_is_small_enough_for_a_client_side_apply() {
        for crd in crds() {
            let size = serde_json::to_vec(&crd).unwrap().len();
            assert!(size < 262_144, "{} has {size} bytes", crd.name_any());
        }
    }
}
