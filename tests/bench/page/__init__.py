"""docs/performance.md and its pictures, made of what the benches handed over."""
