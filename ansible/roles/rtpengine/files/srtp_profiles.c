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
 * Whose DTLS it takes: 10.5 takes anybody's at the port of a page, and has one association for it.  So a stranger's
 * ClientHello before the page's own takes the handshake, or an alert ends it, and the call has no sound.  This leaves
 * DTLS out (first octet 20 to 63, RFC 7983 §7) unless it comes from an address whose check of this port rtpengine has
 * answered, which it does for who knows the ICE password alone (RFC 8445 §7.3).  A page whose ClientHello overtakes its
 * check repeats it.
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
    void *control;
    unsigned long control_length;
    int flags;
};

struct address { /* of an IPv4 or IPv6 socket; what is not used is zero */
    unsigned short family;
    unsigned short port;
    unsigned char host[16];
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
extern int sched_yield(void);
extern void *memcpy(void *to, const void *from, unsigned long length);
extern int memcmp(const void *one, const void *other, unsigned long length);
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
    NEW = 1,         /* EPOLL_CTL_ADD */
    CHANGE = 3,      /* EPOLL_CTL_MOD */
    NOTHING_THERE = 11, /* EAGAIN */
    IPV4 = 2,        /* AF_INET */
    IPV6 = 10,       /* AF_INET6 */
    CHECKED = 8      /* addresses of a page; one that is in use is checked again every few seconds */
};

static struct port {
    int epoll;
    struct event event;
    char taken; /* a lock: several threads read and answer at the same port */
    unsigned char count, oldest;
    struct address checked[CHECKED];
} watched[KNOWN];

static void take(struct port *port)
{
    while (__atomic_test_and_set(&port->taken, __ATOMIC_ACQUIRE))
        sched_yield();
}

static void leave(struct port *port)
{
    __atomic_clear(&port->taken, __ATOMIC_RELEASE);
}

/* Whether a message names the address of its peer. */
static int is_named(const struct message *message, struct address *peer)
{
    static const struct address none;
    const unsigned char *name = message->name;

    *peer = none;
    if (!name || message->name_length < 16)
        return 0;
    memcpy(&peer->family, name, 2);
    memcpy(&peer->port, name + 2, 2);
    if (peer->family == IPV4)
        memcpy(peer->host, name + 4, 4);
    else if (peer->family == IPV6 && message->name_length >= 24)
        memcpy(peer->host, name + 8, 16);
    else
        return 0;
    return 1;
}

/* Whether the port knows the address; with the port taken. */
static int knows(const struct port *port, const struct address *peer)
{
    int index;

    for (index = 0; index < port->count; index++)
        if (!memcmp(&port->checked[index], peer, sizeof(*peer)))
            return 1;
    return 0;
}

static void learn(struct port *port, const struct address *peer)
{
    take(port);
    if (!knows(port, peer)) {
        if (port->count < CHECKED)
            port->checked[port->count++] = *peer;
        else {
            port->checked[port->oldest] = *peer;
            port->oldest = (port->oldest + 1) % CHECKED;
        }
    }
    leave(port);
}

static int is_dtls_of_a_stranger(struct port *port, const struct message *message)
{
    unsigned char first = *(const unsigned char *) message->parts->base;
    struct address peer;
    int known;

    if (!is_10_5 || first < 20 || first > 63 || !is_named(message, &peer))
        return 0;
    take(port);
    known = knows(port, &peer);
    leave(port);
    return !known;
}

/* Of libc.  rtpengine sends STUN by it, and neither media nor DTLS. */
long sendmsg(int socket, const struct message *message, int flags)
{
    static long (*in_libc)(int, const struct message *, int);
    struct address peer;

    if (!in_libc)
        in_libc = dlsym(the_next_library, "sendmsg");
    if (is_10_5 && socket >= 0 && socket < KNOWN && message->part_count && message->parts->length >= 2 &&
        !memcmp(message->parts->base, "\1\1", 2) && is_named(message, &peer)) /* Binding success response */
        learn(&watched[socket], &peer);
    return in_libc(socket, message, flags);
}

/* Of libc. */
int epoll_ctl(int epoll, int operation, int file, struct event *event)
{
    int (*in_libc)(int, int, int, struct event *) = dlsym(the_next_library, "epoll_ctl");

    if (event && file >= 0 && file < KNOWN) {
        if (operation == NEW) { /* another call may have had this descriptor */
            take(&watched[file]);
            watched[file].count = watched[file].oldest = 0;
            leave(&watched[file]);
        }
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
    for (;;) {
        struct message asked = *message;

        if (count == IN_ONE_GO) {
            struct event event = watched[socket].event;

            count = 0;
            epoll_ctl(watched[socket].epoll, CHANGE, socket, &event);
            *__errno_location() = NOTHING_THERE;
            return -1;
        }
        got = in_libc(socket, message, flags);
        count = got < 0 ? 0 : count + 1;
        if (got < 1 || !is_dtls_of_a_stranger(&watched[socket], message))
            return got;
        *message = asked; /* with its lengths, which the system has changed */
    }
}
