"""HTTP resources, one noun each."""
