"""The audit trail of xapi: who called what. Read from the hosts of a pool, or from copies of files.

What is here is about having each line once, and about saying so where one may lack.
"""
