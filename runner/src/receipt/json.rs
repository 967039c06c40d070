//! The receipt as JSON: for `step run --receipt` and for the hub. The shape is in `docs/receipt.md`.

use crate::receipt::Receipt;

/// The receipt as a JSON value.
pub fn to_json(receipt: &Receipt) -> serde_json::Value {
    serde_json::json!({ "executor": receipt.executor })
}
