/*
 * What rtpengine has no setting for: which protection profiles of SRTP it takes part in by DTLS (RFC 5764).
 *
 * Loaded before rtpengine's own libraries (LD_PRELOAD) this leaves AES-CM with HMAC-SHA1, which every WebRTC endpoint
 * has (RFC 8827 §6.5), and takes AES-GCM away.  With AES-GCM rtpengine does not look at the tag of SRTCP whose E bit is
 * 0, so that anybody's passes, and 10.5 dies of SRTCP shorter than 28 bytes, whoever sent it.
 *
 *     gcc -shared -fPIC -O2 -nostdlib -o srtp_profiles.so srtp_profiles.c
 */

extern void *dlsym(void *handle, const char *symbol);

static void *const the_next_library = (void *) -1L; /* RTLD_NEXT */

/* Of libssl; 0 is success. */
int SSL_CTX_set_tlsext_use_srtp(void *context, const char *profiles)
{
    int (*in_libssl)(void *, const char *) = dlsym(the_next_library, "SSL_CTX_set_tlsext_use_srtp");

    (void) profiles;
    return in_libssl ? in_libssl(context, "SRTP_AES128_CM_SHA1_80") : 1;
}
