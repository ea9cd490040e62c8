"""What data must look like: configuration, manifests, the column plan, gates. Imports none of the other packages."""
