"""The stages of the DAG: one thin command each."""
