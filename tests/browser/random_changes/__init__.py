"""Two pages change one call at random, both at once: ``python -m tests.browser.random_changes --seed 7``."""
