"""Where things live and how to speak to them: lakes, databases and their dialects."""
