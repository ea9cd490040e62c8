"""Tables of the lake copied to where others read them."""
