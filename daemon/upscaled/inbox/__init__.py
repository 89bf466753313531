"""The intake: what lies in the inboxes, whether it is ready, and its way into the ledger. It never sees a job again."""
