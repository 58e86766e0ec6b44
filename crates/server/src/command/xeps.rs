//! `jackdaw xeps`: what the extensions say of themselves, for the documents made of it.

use jackdaw_ext::Status;
use jackdaw_xeps::ALL;
use serde_json::json;

/// Every extension, as `cargo xtask gen` reads it.
pub(super) fn json() -> String {
    let xeps = ALL.iter().map(|extension| {
        let xep = &extension.info;
        let status = match xep.status {
            Status::Complete => "complete",
            Status::Partial => "partial",
        };
        json!({
            "number": xep.number,
            "name": xep.name,
            "version": xep.version,
            "status": status,
            "features": xep.features,
        })
    });
    format!("{:#}\n", serde_json::Value::from_iter(xeps))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_extension_is_there_with_all_that_the_documents_show() {
        let parsed: Vec<serde_json::Value> = serde_json::from_str(&json()).unwrap();
        assert_eq!(parsed.len(), ALL.len());
        for xep in parsed {
            for key in ["number", "name", "version", "status", "features"] {
                assert!(!xep[key].is_null(), "{key} of {xep}");
            }
        }
    }
}
