/*
 * What rtpengine has no setting for.  Loaded before its own libraries (LD_PRELOAD).
 *
 * Which protection profiles of SRTP it takes part in by DTLS (RFC 5764): this leaves AES-CM with HMAC-SHA1, which every
 * WebRTC endpoint has (RFC 8827 §6.5), and takes AES-GCM away.  With AES-GCM rtpengine does not look at the tag of SRTCP
 * whose E bit is 0, so that anybody's passes, and 10.5 dies of SRTCP shorter than 28 bytes, whoever sent it.
 *
 * How many datagrams it reads from a media port in one go: where 50 wait it stops, counts a strike, and after five of
 * them 10.5 never reads the port again (stream_fd_readable, MAX_RECV_LOOP_STRIKES), so that whoever floods a port ends
 * the call.  This lets it stop one before, as if no more were there, and has epoll tell it of the port again at once: by
 * itself it would hear of new datagrams only (EPOLLET), and none comes into a queue that is full.
 *
 *     gcc -shared -fPIC -O2 -nostdlib -o srtp_profiles.so srtp_profiles.c
 */

struct message { /* struct msghdr, as far as it is looked at */
    void *name;
    unsigned int name_length;
    struct part {
        void *base;
        unsigned long length;
    } *parts;
    unsigned long part_count;
};

#ifdef __x86_64__
#define AS_THE_SYSTEM_HAS_IT __attribute__((packed))
#else
#define AS_THE_SYSTEM_HAS_IT
#endif
struct event { /* struct epoll_event */
    unsigned int events;
    unsigned long long data;
} AS_THE_SYSTEM_HAS_IT;

extern void *dlsym(void *handle, const char *symbol);
extern int *__errno_location(void);

static void *const the_next_library = (void *) -1L; /* RTLD_NEXT */

/* Of libssl; 0 is success. */
int SSL_CTX_set_tlsext_use_srtp(void *context, const char *profiles)
{
    int (*in_libssl)(void *, const char *) = dlsym(the_next_library, "SSL_CTX_set_tlsext_use_srtp");

    (void) profiles;
    return in_libssl ? in_libssl(context, "SRTP_AES128_CM_SHA1_80") : 1;
}

enum {
    IN_ONE_GO = 49,
    LONGEST_MEDIA = 16384,
    KNOWN = 1 << 16, /* descriptors */
    CHANGE = 3,      /* EPOLL_CTL_MOD */
    NOTHING_THERE = 11 /* EAGAIN */
};

static struct {
    int epoll;
    struct event event;
} watched[KNOWN];

/* Of libc. */
int epoll_ctl(int epoll, int operation, int file, struct event *event)
{
    int (*in_libc)(int, int, int, struct event *) = dlsym(the_next_library, "epoll_ctl");

    if (event && file >= 0 && file < KNOWN) {
        watched[file].event = *event;
        watched[file].epoll = epoll;
    }
    return in_libc(epoll, operation, file, event);
}

/* Of libc.  Other sockets than media ports, as that of the ng protocol, are read with larger buffers. */
long recvmsg(int socket, struct message *message, int flags)
{
    static long (*in_libc)(int, struct message *, int);
    static __thread int last = -1, count;
    long got;

    if (!in_libc)
        in_libc = dlsym(the_next_library, "recvmsg");
    if (message->part_count != 1 || message->parts->length > LONGEST_MEDIA || socket >= KNOWN)
        return in_libc(socket, message, flags);
    if (socket != last)
        count = 0;
    last = socket;
    if (count == IN_ONE_GO) {
        struct event event = watched[socket].event;

        count = 0;
        epoll_ctl(watched[socket].epoll, CHANGE, socket, &event);
        *__errno_location() = NOTHING_THERE;
        return -1;
    }
    got = in_libc(socket, message, flags);
    count = got < 0 ? 0 : count + 1;
    return got;
}
