//! The room `agent`.
