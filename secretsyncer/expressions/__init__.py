"""The languages in which users may write, with bounds: RE2 regular expressions and JMESPath."""
