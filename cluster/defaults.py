"""The numbers of a cluster that nobody has to set, each with its reason. `headswap cluster serve` overrides some.

Without imports of ours: replicas read this before they import the archive's own `handlers`.
"""

# Of everything here: actors, applications and the state in Ray's key-value store.
NAMESPACE = "headswap"
INGRESS_APPLICATION = "headswap"
ARCHIVE_STORE_ACTOR = "headswap-archives"
# What Ray calls the head node among its resources; actors there last as long as the cluster does.
HEAD_NODE = {"node:__internal_head__": 0.001}

# Those of headswap's config.properties for TorchServe, so that clients need not know which engine answers. Like there,
# everything listens on loopback until --listen opens it.
LISTEN = "127.0.0.1"
HTTP_PORT = 8080
GRPC_PORT = 7070

# As max_request_size in config.properties: a 12-megapixel JPEG has 3 to 8 MB.
REQUEST_LIMIT_BYTES = 20_000_000
# Parts of a form that Starlette parses at most; the handler allows fewer images (handler.max_images_per_request).
FORM_PARTS_MAX = 1000
# As responseTimeout in handlers/settings.py: a request that takes longer has a replica that hangs.
REQUEST_TIMEOUT_S = 120.0
# Idle connections stay open longer than a load balancer keeps them (60 s is the default of AWS and of nginx), so that
# it is never the server that closes one just as a request arrives.
KEEP_ALIVE_S = 75

# A replica on a CPU computes one request at a time, in one thread; the second waits in the replica, so that the
# network is never idle for the milliseconds that the next request takes to arrive from the router.
CPU_ONGOING_REQUESTS = 2
# A GPU computes batches: two of the archive's batch size, one on the GPU and one that fills meanwhile.
GPU_ONGOING_BATCHES = 2
# Requests that wait in each ingress for a replica, per version, as job_queue_size in config.properties. Two cores
# serve 40 to 70 photos/s, so the last of them waits 2 s or less; a longer queue only delays the 503.
QUEUED_REQUESTS = 100
# Of the 503: half the full queue is served after this long.
RETRY_AFTER_S = 1

# A replica computes with one thread, as a TorchServe worker does: there are at most as many per version as the cluster
# has cores. Each reserves a quarter of one, so that a candidate and the versions kept for a rollback always fit next to
# those of the live version, idle as they mostly are. Where machines are started by demand, give --cpus-per-replica 1.
REPLICA_CPUS = 0.25
# The ingress moves bytes; like TorchServe's frontend it reserves nothing.
INGRESS_CPUS = 0.0
# What an ingress holds at once, at most REQUEST_LIMIT_BYTES each. Above the queue and what replicas compute, so that
# the queue's 503 comes first.
INGRESS_ONGOING_REQUESTS = 200
# An ingress in Python passes on some 300 requests/s, what ten cores compute with ResNet-18; Serve adds more when each
# has half of what it may hold.
INGRESS_REPLICAS_MIN = 1
INGRESS_REPLICAS_MAX = 4

# Autoscaling of the replicas of a version, by its queue: Serve adds replicas until each has this many requests,
# waiting or computed. At 1 a replica is added when half the requests wait; at CPU_ONGOING_REQUESTS never before all
# replicas are full.
TARGET_ONGOING_REQUESTS = 1.5
REPLICAS_MIN = 1
# Long enough that a burst of a few seconds starts no replica, which takes 5 to 10 s to load anyway.
UPSCALE_DELAY_S = 10.0
# A replica that goes must be loaded again when the load returns, for which a minute's pause is too short.
DOWNSCALE_DELAY_S = 300.0

# A replica that hangs is replaced after three of these.
HEALTH_CHECK_PERIOD_S = 5.0
HEALTH_CHECK_TIMEOUT_S = 30.0
# A replica that is to go finishes what it computes; the slowest request takes REQUEST_TIMEOUT_S.
GRACEFUL_SHUTDOWN_TIMEOUT_S = REQUEST_TIMEOUT_S

# A version loads within this time or is refused: as startupTimeout in handlers/settings.py, and again as long for the
# archive's way to the node.
LOAD_TIMEOUT_S = 240.0
# Of an archive on its way to a node. Ray copies larger messages through its object store, smaller ones in place.
CHUNK_BYTES = 4 << 20
