//! The room `railway`.
