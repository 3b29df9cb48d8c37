"""Where a person's registry credentials lie: auth.json, config.json, helpers, keyring."""
