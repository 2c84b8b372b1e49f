"""Pictures. matplotlib is imported when one is drawn, and the user's backend stays as it is."""
