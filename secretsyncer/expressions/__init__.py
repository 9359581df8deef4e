"""The expressions in a SyncedSecret: RE2 regular expressions and JMESPath, both with limits."""
