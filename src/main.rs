fn main() {
    for crd in yardmaster::api::crds() {
        print!(
            "---\n{}",
            serde_yaml_ng::to_string(&crd).unwrap_or_default()
        );
    }
}
