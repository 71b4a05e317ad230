//! What becomes of single tools: their Secrets or themselves deleted by hand, numbers that never come, tools asked for and
//! given up, limits changed, trouble with one of several, what is left behind and what is not.
