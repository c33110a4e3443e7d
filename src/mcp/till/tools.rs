//! The till's tools as a client sees them.

use rmcp::model::{Tool, ToolAnnotations};
use serde_json::{Value, json};

pub(super) fn tools() -> Vec<Tool> {
    let once = ToolAnnotations::new;
    let idempotent = || ToolAnnotations::new().idempotent(true).destructive(false);
    let reads = || ToolAnnotations::new().read_only(true);
    let (text, cents) = (json!({"type": "string"}), json!({"type": "integer", "minimum": 1}));
    vec![
        tool(
            "charge_card",
            "Charge the card on file for an order. Each call charges it again.",
            once(),
            &json!({"order": text, "amount_cents": cents}),
        ),
        tool(
            "mail_receipt",
            "Mail the receipt of an order.",
            idempotent(),
            &json!({"order": text, "to": text}),
        ),
        tool(
            "update_ledger",
            "Enter the amount of an order in the books.",
            idempotent(),
            &json!({"order": text, "amount_cents": cents}),
        ),
        tool(
            "find_charge",
            "Tell whether an order was charged, and how much. With an idempotency key: whether the \
             call that had this key charged it.",
            reads(),
            &json!({"order": text, "idempotency_key": {"type": ["string", "null"]}}),
        ),
        tool("read_ledger", "Read all that was charged, mailed and entered.", reads(), &json!({})),
    ]
}

fn tool(name: &'static str, what_for: &'static str, hints: ToolAnnotations, args: &Value) -> Tool {
    let is_required =
        |(name, schema): (&String, &Value)| (!schema["type"].is_array()).then(|| name.clone());
    let required: Vec<String> =
        args.as_object().into_iter().flatten().filter_map(is_required).collect();
    let schema = json!({
        "type": "object",
        "properties": args,
        "required": required,
        "additionalProperties": false,
    });
    let schema = schema.as_object().cloned().unwrap_or_default();
    Tool::new(name, what_for, schema).with_annotations(hints)
}
