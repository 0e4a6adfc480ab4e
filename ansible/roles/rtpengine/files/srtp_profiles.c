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
 * What comes by DTLS after the handshake: 10.5 hands it to OpenSSL's buffer and never reads it.  So the page whose last
 * datagram of ours is lost, and which repeats its own, gets no other one (RFC 6347 §4.2.4) and no sound, and the buffer
 * grows as long as the call lasts.  This reads it.  Nothing is done to an rtpengine that does so by itself.
 *
 *     gcc -shared -fPIC -O2 -nostdlib -o srtp_profiles.so srtp_profiles.c
 */

struct library { /* struct link_map */
    unsigned long base;
    const char *name;
    struct entry {
        long tag;
        unsigned long value;
    } *entries;
};

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
extern void *dlopen(const char *file, int mode);
extern int dlinfo(void *handle, int request, void *answer);
extern int strcmp(const char *one, const char *other);
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
    LAZY = 1,       /* RTLD_LAZY */
    THE_LIBRARY = 2, /* RTLD_DI_LINKMAP */
    STRINGS = 5,    /* DT_STRTAB */
    SYMBOLS = 6,    /* DT_SYMTAB */
    HASHES = 0x6ffffef5, /* DT_GNU_HASH */
    SYMBOL_LENGTH = sizeof(void *) == 8 ? 24 : 16,
    EMPTY_IT = 1    /* BIO_CTRL_RESET */
};

/* Whether the program itself, not its libraries, calls this function: what it imports stands before what it exports. */
static int calls(const char *function)
{
    struct library *program;
    const struct entry *entry;
    const char *strings = 0, *symbols = 0;
    const unsigned int *hashes = 0;
    unsigned int index;

    if (dlinfo(dlopen(0, LAZY), THE_LIBRARY, &program))
        return 0;
    for (entry = program->entries; entry->tag; entry++)
        if (entry->tag == STRINGS)
            strings = (const char *) entry->value;
        else if (entry->tag == SYMBOLS)
            symbols = (const char *) entry->value;
        else if (entry->tag == HASHES)
            hashes = (const unsigned int *) entry->value;
    if (!strings || !symbols || !hashes)
        return 0;
    for (index = 1; index < hashes[1]; index++)
        if (!strcmp(strings + *(const unsigned int *) (symbols + index * SYMBOL_LENGTH), function))
            return 1;
    return 0;
}

static int is_10_5; /* or older: later ones read, and ask OpenSSL in another way what there is to send */

__attribute__((constructor)) static void look_whose_process_this_is(void)
{
    is_10_5 = calls("SSL_accept") && calls("BIO_ctrl_pending") && !calls("SSL_read");
}

/* Of libssl.  What is to be sent remembers its association in the field for applications, which rtpengine leaves. */
void SSL_set_bio(void *association, void *from_peer, void *to_peer)
{
    void (*in_libssl)(void *, void *, void *) = dlsym(the_next_library, "SSL_set_bio");
    int (*is_dtls)(void *) = dlsym(the_next_library, "SSL_is_dtls");
    int (*remember)(void *, int, void *) = dlsym(the_next_library, "BIO_set_ex_data");

    in_libssl(association, from_peer, to_peer);
    if (is_10_5 && is_dtls(association))
        remember(to_peer, 0, association);
}

/* Reads what the peer has sent since the handshake: a repeated end of it makes OpenSSL repeat ours. */
static void read_on(void *association)
{
    int (*is_done)(void *) = dlsym(the_next_library, "SSL_is_init_finished");
    int (*read)(void *, void *, int) = dlsym(the_next_library, "SSL_read");
    void *(*from_peer)(void *) = dlsym(the_next_library, "SSL_get_rbio");
    long (*control)(void *, int, long, void *) = dlsym(the_next_library, "BIO_ctrl");
    void (*forget_errors)(void) = dlsym(the_next_library, "ERR_clear_error");
    char data[2048];

    while (is_done(association) && read(association, data, sizeof(data)) > 0)
        ;
    /* An association that has failed reads no more; before it is done, its handshake has read everything. */
    control(from_peer(association), EMPTY_IT, 0, 0);
    forget_errors();
}

/* Of libcrypto.  10.5 asks it after each datagram, with the association locked, and sends what there is to its sender. */
unsigned long BIO_ctrl_pending(void *to_peer)
{
    unsigned long (*in_libcrypto)(void *) = dlsym(the_next_library, "BIO_ctrl_pending");
    void *(*remembered)(void *, int) = dlsym(the_next_library, "BIO_get_ex_data");
    void *association = is_10_5 ? remembered(to_peer, 0) : 0;

    if (association)
        read_on(association);
    return in_libcrypto(to_peer);
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
