"""Tables, feature statistics and splits: from files to arrays."""
