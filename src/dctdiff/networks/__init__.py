"""Networks, and the attention that they share."""
