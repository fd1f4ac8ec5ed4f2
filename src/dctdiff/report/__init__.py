"""Tables, charts and figures, and how the page of the report shows them."""
