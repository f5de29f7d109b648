"""Storage that several machines share: a directory that all of them mount, or an object store by URL."""
