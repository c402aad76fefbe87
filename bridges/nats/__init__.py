"""The door between sites: the mail of several machines' brokers over NATS JetStream. The only importer of nats, nkeys, nacl."""
