"""Real hosts from npm against a model of ours on loopback: what each request held, how soon mail was in one, what it costs."""
