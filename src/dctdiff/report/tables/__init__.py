"""Tables: one module per subject; ``suite`` builds all of them."""
