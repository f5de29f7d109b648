//! Generates the contract's stubs with the protoc that `PROTOC` names.
use std::fs;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "../../../protos";
    let mut files = Vec::new();
    for entry in fs::read_dir(format!("{root}/headstart/v1"))? {
        files.push(entry?.path());
    }
    tonic_prost_build::configure().build_server(false).compile_protos(&files, &[root.into()])?;
    Ok(())
}
