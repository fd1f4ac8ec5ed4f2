"""What there is to choose from, each alternative once: what is said of it, and where its code lies."""
