"""The stages of the DAG: one thin command each, of the same name as its rule."""
