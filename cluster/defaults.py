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

# What a replica holds: the request it computes and those that wait for it. Above that the ingress asks replicas again
# and again which takes one more; with 2, that cost 12 ms of CPU per request at 8 connections. The last of 50 waits
# 1.3 s.
REPLICA_ONGOING_REQUESTS = 50
# On a GPU at least this many batches of the archive's size: one on the GPU and one that fills meanwhile.
GPU_ONGOING_BATCHES = 2
# Requests that wait in each ingress for a replica that takes them, per version; above that the answer is 503.
QUEUED_REQUESTS = 50
# Of the 503: half of what waits is served after this long.
RETRY_AFTER_S = 1

# A replica computes with one thread, as a TorchServe worker does: there are at most as many per version as the cluster
# has cores. Each reserves a quarter of one, so that a candidate and the versions kept for a rollback always fit next to
# those of the live version, idle as they mostly are. Where machines are started by demand, give --cpus-per-replica 1.
REPLICA_CPUS = 0.25
# The ingress moves bytes; like TorchServe's frontend it reserves nothing.
INGRESS_CPUS = 0.0
# What an ingress holds at once, at most REQUEST_LIMIT_BYTES each. Above the queue and what two replicas hold, so that
# the queue's 503 comes first.
INGRESS_ONGOING_REQUESTS = 200
# An ingress in Python passes on some 300 requests/s, what ten cores compute with ResNet-18; Serve adds more when each
# has half of what it may hold.
INGRESS_REPLICAS_MIN = 1
INGRESS_REPLICAS_MAX = 4

# Autoscaling of the replicas of a version, by its queue: Serve adds replicas until each has this many requests,
# waiting or computed. At 1 a replica is added as soon as one request in ten waits; at 2 not before half of them do.
TARGET_ONGOING_REQUESTS = 1.5
REPLICAS_MIN = 1
# Long enough that a burst of a few seconds starts no replica, which takes 5 to 10 s to load anyway.
UPSCALE_DELAY_S = 10.0
# A replica that goes must be loaded again when the load returns, for which a minute's pause is too short.
DOWNSCALE_DELAY_S = 300.0

# A replica that hangs is replaced after three health checks. One that is to go finishes what it computes; the slowest
# request takes REQUEST_TIMEOUT_S. Of Serve's own log, a line per request and process cost 1 ms; ours is access.log.
EVERY_DEPLOYMENT = {
    "health_check_period_s": 5.0,
    "health_check_timeout_s": 30.0,
    "graceful_shutdown_timeout_s": REQUEST_TIMEOUT_S,
    "logging_config": {"enable_access_log": False},
}

# A version loads within this time or is refused: as startupTimeout in handlers/settings.py, and again as long for the
# archive's way to the node.
LOAD_TIMEOUT_S = 240.0
# Of an archive on its way to a node. Ray copies larger messages through its object store, smaller ones in place.
CHUNK_BYTES = 4 << 20
