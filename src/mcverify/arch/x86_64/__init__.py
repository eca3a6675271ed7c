"""What x86-64 brings as code. The architecture's value imports a module when it needs it."""
