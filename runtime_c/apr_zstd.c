/* apr_zstd.c: zstd frames. See apr_zstd.h. */
#include "apr_zstd.h"

#define ZSTD_STATIC_LINKING_ONLY
#define ZSTD_DISABLE_DEPRECATE_WARNINGS
#include "zstd.h"

size_t apr_zstd_context_bytes(void)
{
    return ZSTD_estimateDCtxSize();
}

/* A frame of n_out bytes, as far as its header tells: the original library's encoder writes no size. */
static int frame_of(ZSTD_FrameHeader *frame, const uint8_t *stored, size_t n_stored, size_t n_out)
{
    return ((ZSTD_getFrameHeader(frame, stored, n_stored) == 0U) && (frame->frameType == ZSTD_frame) &&
            ((frame->frameContentSize == (unsigned long long)n_out) ||
             (frame->frameContentSize == ZSTD_CONTENTSIZE_UNKNOWN)))
               ? 1
               : 0;
}

int apr_zstd_unpack(void *memory, size_t n_memory, const uint8_t *stored, size_t n_stored, uint8_t *out, size_t n_out)
{
    ZSTD_DCtx *const decoder = ZSTD_initStaticDCtx(memory, n_memory);
    ZSTD_FrameHeader frame;
    size_t made = ~n_out;
    /* Several frames, or one that can be skipped, would be decoded too: the format has one. */
    if ((decoder != NULL) && (frame_of(&frame, stored, n_stored, n_out) == 1) &&
        (ZSTD_findFrameCompressedSize(stored, n_stored) == n_stored)) {
        made = ZSTD_decompressDCtx(decoder, out, n_out, stored, n_stored);
    }
    return (made == n_out) ? 1 : 0;
}

size_t apr_zstd_window_bytes(const uint8_t *stored, size_t n_stored, size_t n_out)
{
    ZSTD_FrameHeader frame;
    size_t n = 0U;
    if (frame_of(&frame, stored, n_stored, n_out) == 1) {
        n = ZSTD_decodingBufferSize_min(frame.windowSize, (unsigned long long)n_out);
    }
    return (ZSTD_isError(n) != 0U) ? (size_t)0U : n;
}

int apr_zstd_pieces(void *memory, size_t n_memory, uint8_t *window, size_t n_window, const uint8_t *stored,
                    size_t n_stored, size_t n_out, int (*take)(void *context, const uint8_t *piece, size_t n),
                    void *context)
{
    ZSTD_DCtx *const decoder = ZSTD_initStaticDCtx(memory, n_memory);
    const size_t needed = apr_zstd_window_bytes(stored, n_stored, n_out);
    ZSTD_FrameHeader frame;
    size_t at = 0U;    /* in what is stored */
    size_t place = 0U; /* in the window */
    size_t total = 0U;
    if ((decoder == NULL) || (needed == 0U) || (n_window < needed) ||
        (frame_of(&frame, stored, n_stored, n_out) == 0) || (ZSTD_isError(ZSTD_decompressBegin(decoder)) != 0U)) {
        return 0;
    }
    for (size_t next = ZSTD_nextSrcSizeToDecompress(decoder); next != 0U; next = ZSTD_nextSrcSizeToDecompress(decoder)) {
        if (next > (n_stored - at)) {
            return 0;
        }
        /* As the decoder asks for: no block is broken at the end of the window, unless all fits in. */
        if ((n_window < n_out) && ((n_window - place) < frame.blockSizeMax)) {
            place = 0U;
        }
        const size_t made = ZSTD_decompressContinue(decoder, &window[place], n_window - place, &stored[at], next);
        if ((ZSTD_isError(made) != 0U) || (made > (n_out - total))) {
            return 0;
        }
        at += next;
        total += made;
        if ((made > 0U) && (take(context, &window[place], made) != 1)) {
            return 0;
        }
        place += made;
    }
    return ((at == n_stored) && (total == n_out)) ? 1 : 0;
}
