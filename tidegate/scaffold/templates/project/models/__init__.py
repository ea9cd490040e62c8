"""What the tables of this project must look like."""
