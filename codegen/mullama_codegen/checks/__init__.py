"""The cross-file rules of the description language, one module a subject. Each adds messages; none stops at the first."""
