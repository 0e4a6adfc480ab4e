"""Pages: their connections and registrations, and the ways to reach them."""
