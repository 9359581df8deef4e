"""The expressions in a SyncedSecret: RE2 regular expressions, JMESPath and dotted paths, all with limits."""
