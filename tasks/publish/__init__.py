"""The steps of publishing: which table goes where, what the lake has of it, and how it gets there."""
