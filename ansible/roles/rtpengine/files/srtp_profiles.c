/*
 * What rtpengine has no setting for, loaded before its own libraries (LD_PRELOAD).
 *
 *     gcc -shared -fPIC -O2 -nostdlib -o srtp_profiles.so srtp_profiles.c
 */

extern void *dlsym(void *handle, const char *symbol);
extern const void *DTLS_server_method(void);
extern const void *DTLS_client_method(void);
extern const void *SSL_CTX_get_ssl_method(const void *context);
extern void *SSL_get_SSL_CTX(const void *connection);
extern long SSL_CTX_ctrl(void *context, int command, long value, void *pointer);
extern unsigned long SSL_CTX_set_options(void *context, unsigned long options);
extern unsigned long SSL_CTX_clear_options(void *context, unsigned long options);

static void *const the_next_library = (void *) -1L; /* RTLD_NEXT */

/*
 * Which protection profiles of SRTP it takes part in by DTLS (RFC 5764).  This leaves AES-CM with HMAC-SHA1, which every
 * WebRTC endpoint has (RFC 8827 §6.5), and takes AES-GCM away.  With AES-GCM rtpengine does not look at the tag of SRTCP
 * whose E bit is 0, so that anybody's passes, and 10.5 dies of SRTCP shorter than 28 bytes, whoever sent it.
 */

/* Of libssl; 0 is success. */
int SSL_CTX_set_tlsext_use_srtp(void *context, const char *profiles)
{
    int (*in_libssl)(void *, const char *) = dlsym(the_next_library, "SSL_CTX_set_tlsext_use_srtp");

    (void) profiles;
    return in_libssl ? in_libssl(context, "SRTP_AES128_CM_SHA1_80") : 1;
}

/*
 * Contexts of DTLS that ended calls leave are taken for new ones.  rtpengine makes two for each audio call, for the
 * port and for ICE, and OpenSSL 3 takes 0.15 ms for one.
 *
 * A context is used by one connection at a time, as before: it is kept when its only connection has been freed by the
 * same thread right after it.  rtpengine sets everything anew but the two values that forget() takes back.  Nothing of
 * a session stays: there is neither a cache nor a ticket, so that each handshake is a whole one and looks at the
 * certificate.
 */

enum { KEPT = 256, SET_READ_AHEAD = 41, SET_SESSION_CACHE_MODE = 44 };
enum { NO_QUERY_MTU = 1 << 12, NO_TICKET = 1 << 14 };

static void *kept[2][KEPT]; /* for servers, for clients */
static __thread void *given_up; /* freed by rtpengine, while its connection still exists */
static __thread int in_libssl_now;

static void **kept_for(const void *method)
{
    return method == DTLS_server_method() ? kept[0] : method == DTLS_client_method() ? kept[1] : 0;
}

static void free_in_libssl(void *context)
{
    void (*in_libssl)(void *) = dlsym(the_next_library, "SSL_CTX_free");

    in_libssl(context);
}

static void forget(void *context)
{
    SSL_CTX_ctrl(context, SET_READ_AHEAD, 0, 0); /* to set it returns the value before, which has to be 0 */
    SSL_CTX_clear_options(context, NO_QUERY_MTU);
}

static void keep(void *context)
{
    void **slots = kept_for(SSL_CTX_get_ssl_method(context));

    forget(context);
    for (int number = 0; slots && number < KEPT; number++) {
        void *nothing = 0;

        if (__atomic_compare_exchange_n(&slots[number], &nothing, context, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return;
    }
    free_in_libssl(context);
}

void *SSL_CTX_new(const void *method)
{
    void *(*in_libssl)(const void *) = dlsym(the_next_library, "SSL_CTX_new");
    void **slots = kept_for(method);
    void *context;

    for (int number = 0; slots && number < KEPT; number++)
        if (__atomic_load_n(&slots[number], __ATOMIC_RELAXED)
                && (context = __atomic_exchange_n(&slots[number], (void *) 0, __ATOMIC_ACQ_REL)))
            return context;
    context = in_libssl(method);
    if (slots && context) {
        SSL_CTX_set_options(context, NO_TICKET);
        SSL_CTX_ctrl(context, SET_SESSION_CACHE_MODE, 0, 0);
    }
    return context;
}

void SSL_CTX_free(void *context)
{
    void *before = given_up;

    /* libssl, too, frees what its connections hold. */
    if (in_libssl_now || !context || !kept_for(SSL_CTX_get_ssl_method(context))) {
        free_in_libssl(context);
        return;
    }
    given_up = context;
    if (before) /* its connection was not the next to be freed, if it had one */
        free_in_libssl(before);
}

void SSL_free(void *connection)
{
    void (*in_libssl)(void *) = dlsym(the_next_library, "SSL_free");
    void *context = given_up;

    if (context && connection && SSL_get_SSL_CTX(connection) == context)
        given_up = 0;
    else
        context = 0;
    in_libssl_now++;
    in_libssl(connection);
    in_libssl_now--;
    if (context)
        keep(context);
}
