/* The decoder, the writer of frames and masking of twisted_ws/frames.py once more,
 * faster. That file is the contract and says what each is for; a table there, a function
 * and the limits are used from here, so that the rules stand in one place.
 *
 * What keeps it safe:
 *
 * - Bytes are read and written through memcpy or one at a time, so nothing depends on
 *   alignment or on the order of bytes, and every length is unsigned until it is known to
 *   fit Py_ssize_t.
 * - The payload of an unfinished frame is a bytes object of our own, seen by nobody until
 *   it is whole. It grows with what was sent, never with what a header declares.
 * - Making an object may run the garbage collector, and so any code. While feed() works
 *   the decoder refuses to be used again.
 *
 * Not the limited API: Python 3.10 has no buffers in it, and no version has the resizing
 * of a bytes object. With what there is instead, reading a frame of 16 bytes takes 75 ns,
 * not 52, one of 256 bytes 89, not 75, and one of 1 MiB in segments many times as long.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

#ifdef _MSC_VER
#define restrict __restrict
#endif

enum {
    /* See twisted_ws.frames.CONTRACT. */
    CONTRACT = 1,
    MASKED = 0x80,
    CONTROL = 0x08,
    WHOLE_TEXT = 0x81,
    WHOLE_BINARY = 0x82,
    MOST_SHORT = 125,
    MOST_MEDIUM = 65535,
    /* Two bytes, eight of length, four of key. */
    LONGEST_HEADER = 14,
    /* What a payload gets at least: small ones never grow. */
    FIRST_CAPACITY = 1024,
    /* Up to this size a masked text is unmasked on the stack. */
    ON_STACK = 1024
};

typedef struct {
    PyObject *decoderType;
    PyObject *protocolError;
    PyObject *explainFirstByte;
    PyObject *validFirstBytes;
    Py_ssize_t framesPerFeed;
} State;

typedef struct {
    PyObject_HEAD
    PyObject *module;
    PyObject *valid;
    PyObject *error;
    /* Of the pending frame; NULL if none is. A whole text is kept as str as long as it
     * is ASCII, so that nothing of it is to be decoded, or copied, when it ends. */
    PyObject *payload;
    PyObject *rest;
    uint64_t length; /* Of the pending frame, as its header says. */
    Py_ssize_t received;
    Py_ssize_t fresh; /* How much of that the last segment brought. */
    unsigned char key[4];
    unsigned char held[LONGEST_HEADER - 1];
    unsigned char heldSize;
    unsigned char first; /* Of the pending frame. */
    char masked;
    char busy;
} Decoder;

static State *
stateOf(Decoder *self)
{
    return PyModule_GetState(self->module);
}

/* --- Masking */

/* Write XOR of size bytes with the key, from its first byte on. */
static void
copyMasked(unsigned char *restrict to, const unsigned char *restrict from, size_t size,
           const unsigned char *key)
{
    unsigned char pad[8];
    uint64_t pad64, word;
    size_t at = 0;

    memcpy(pad, key, 4);
    memcpy(pad + 4, key, 4);
    memcpy(&pad64, pad, 8);
    /* Compilers make vector instructions of it. */
    for (; size - at >= 8; at += 8) {
        memcpy(&word, from + at, 8);
        word ^= pad64;
        memcpy(to + at, &word, 8);
    }
    for (; at < size; at++)
        to[at] = from[at] ^ pad[at & 3];
}

/* Copy, and unmask if there is a key. */
static void
copyPayload(unsigned char *to, const unsigned char *from, size_t size,
            const unsigned char *key)
{
    if (size == 0)
        return;
    if (key)
        copyMasked(to, from, size, key);
    else
        memcpy(to, from, size);
}

static unsigned char *
bytesOf(PyObject *object)
{
    return (unsigned char *)PyBytes_AS_STRING(object);
}

/* Make a bytes object of them. */
static PyObject *
copied(const unsigned char *from, Py_ssize_t size, const unsigned char *key)
{
    PyObject *made = PyBytes_FromStringAndSize(NULL, size);
    if (made)
        copyPayload(bytesOf(made), from, (size_t)size, key);
    return made;
}

/* --- Arguments */

/* Read a key of four bytes. */
static int
readKey(PyObject *object, unsigned char *key)
{
    Py_buffer view;
    Py_ssize_t size;

    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) < 0)
        return -1;
    size = view.len;
    if (size == 4)
        memcpy(key, view.buf, 4);
    PyBuffer_Release(&view);
    if (size != 4) {
        PyErr_Format(PyExc_ValueError, "a key has 4 bytes, not %zd", size);
        return -1;
    }
    return 0;
}

static int
checkCount(const char *name, Py_ssize_t count, Py_ssize_t least, Py_ssize_t most)
{
    if (count >= least && count <= most)
        return 0;
    PyErr_Format(PyExc_TypeError, "%s() takes %zd to %zd positional arguments, not %zd",
                 name, least, most, count);
    return -1;
}

/* --- Functions */

PyDoc_STRVAR(maskDoc,
"mask($module, data, key, /)\n--\n\n"
"Mask or unmask a payload, see twisted_ws.frames.mask.");

static PyObject *
speedups_mask(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    unsigned char key[4];
    Py_buffer view;
    PyObject *made;

    if (checkCount("mask", count, 2, 2) < 0 || readKey(args[1], key) < 0)
        return NULL;
    if (PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE) < 0)
        return NULL;
    made = copied(view.buf, view.len, key);
    PyBuffer_Release(&view);
    return made;
}

/* Write the header without the key.
 * Returns its size. */
static Py_ssize_t
writeHeader(unsigned char *header, unsigned char first, unsigned char bit,
            uint64_t length)
{
    int form = length <= MOST_SHORT ? 0 : length <= MOST_MEDIUM ? 2 : 8;

    header[0] = first;
    if (form == 0)
        header[1] = (unsigned char)(bit | length);
    else
        header[1] = (unsigned char)(bit | (form == 2 ? 126 : 127));
    for (int each = 0; each < form; each++)
        header[2 + each] = (unsigned char)(length >> (8 * (form - 1 - each)));
    return 2 + form;
}

/* Look at a payload: at bytes as they are, at text as UTF-8.
 * Nearly all text is ASCII, and so is UTF-8 as it is kept. */
static int
viewPayload(PyObject *payload, Py_buffer *view)
{
    PyObject *encoded;
    int status;

    if (!PyUnicode_Check(payload))
        return PyObject_GetBuffer(payload, view, PyBUF_SIMPLE);
    if (PyUnicode_IS_COMPACT_ASCII(payload))
        return PyBuffer_FillInfo(view, payload, PyUnicode_DATA(payload),
                                 PyUnicode_GET_LENGTH(payload), 1, PyBUF_SIMPLE);
    encoded = PyUnicode_AsUTF8String(payload);
    if (!encoded)
        return -1;
    status = PyObject_GetBuffer(encoded, view, PyBUF_SIMPLE);
    Py_DECREF(encoded);
    return status;
}

PyDoc_STRVAR(encodeFrameDoc,
"encodeFrame($module, first, payload, key=None, /)\n--\n\n"
"Write one frame, see twisted_ws.frames.encodeFrame.");

static PyObject *
speedups_encodeFrame(PyObject *Py_UNUSED(module), PyObject *const *args,
                     Py_ssize_t count)
{
    unsigned char header[LONGEST_HEADER], key[4], *to;
    const unsigned char *used = NULL;
    Py_ssize_t size;
    Py_buffer view;
    PyObject *made;
    long first;

    if (checkCount("encodeFrame", count, 2, 3) < 0)
        return NULL;
    first = PyLong_AsLong(args[0]);
    if (first == -1 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError))
            return NULL;
        PyErr_Clear();
    }
    if (first < 0 || first > 255) {
        PyErr_SetString(PyExc_ValueError, "bytes must be in range(0, 256)");
        return NULL;
    }
    if (count == 3 && args[2] != Py_None) {
        if (readKey(args[2], key) < 0)
            return NULL;
        used = key;
    }
    if (viewPayload(args[1], &view) < 0)
        return NULL;
    size = writeHeader(header, (unsigned char)first, used ? MASKED : 0,
                       (uint64_t)view.len);
    if (used) {
        memcpy(header + size, key, 4);
        size += 4;
    }
    if (view.len > PY_SSIZE_T_MAX - size) {
        PyBuffer_Release(&view);
        return PyErr_NoMemory();
    }
    made = PyBytes_FromStringAndSize(NULL, size + view.len);
    if (made) {
        to = bytesOf(made);
        memcpy(to, header, (size_t)size);
        copyPayload(to + size, view.buf, (size_t)view.len, used);
    }
    PyBuffer_Release(&view);
    return made;
}

/* The bytes of a payload that is bytes or ASCII text. */
static unsigned char *
dataOf(PyObject *payload)
{
    return PyUnicode_Check(payload) ? (unsigned char *)PyUnicode_1BYTE_DATA(payload)
                                    : bytesOf(payload);
}

/* Tell whether all bytes are ASCII. */
static int
isASCII(const unsigned char *at, size_t size)
{
    uint64_t all = 0, word;
    size_t place = 0;

    for (; size - place >= sizeof word; place += sizeof word) {
        memcpy(&word, at + place, sizeof word);
        all |= word;
    }
    for (; place < size; place++)
        all |= at[place];
    return !(all & UINT64_C(0x8080808080808080));
}

/* --- What a decoder gives back */

typedef struct {
    PyObject *frames;
    PyObject *messages; /* NULL if not asked for, or no more are to come. */
    Py_ssize_t limit;
    Py_ssize_t count;
} Found;

/* Decode a text.
 * Returns NULL without an exception if it is not UTF-8. */
static PyObject *
decodeText(const unsigned char *from, Py_ssize_t size)
{
    PyObject *text = PyUnicode_DecodeUTF8((const char *)from, size, NULL);
    if (!text && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
        PyErr_Clear();
    return text;
}

/* Append a frame as first byte and payload; takes over the reference to that. */
static int
addFrame(Found *found, unsigned char first, PyObject *payload)
{
    PyObject *frame, *number;
    int status;

    number = PyLong_FromLong(first);
    frame = number ? PyTuple_New(2) : NULL;
    if (!frame) {
        Py_XDECREF(number);
        Py_DECREF(payload);
        return -1;
    }
    PyTuple_SET_ITEM(frame, 0, number);
    PyTuple_SET_ITEM(frame, 1, payload);
    status = PyList_Append(found->frames, frame);
    Py_DECREF(frame);
    return status;
}

/* Append a message; takes over the reference to it. */
static int
addMessage(Found *found, PyObject *message)
{
    int status = PyList_Append(found->messages, message);
    Py_DECREF(message);
    return status;
}

/* Tell whether a frame is a message that goes to those, and end them if not. */
static int
isMessage(Found *found, unsigned char first, Py_ssize_t size)
{
    if (!found->messages)
        return 0;
    if ((first == WHOLE_TEXT || first == WHOLE_BINARY) && size <= found->limit)
        return 1;
    found->messages = NULL;
    return 0;
}

/* Give back a frame whose payload is a bytes object; takes over the reference. */
static int
giveWhole(Found *found, unsigned char first, PyObject *payload)
{
    PyObject *text;

    found->count++;
    if (!isMessage(found, first, PyBytes_GET_SIZE(payload)))
        return addFrame(found, first, payload);
    if (first == WHOLE_BINARY)
        return addMessage(found, payload);
    text = decodeText(bytesOf(payload), PyBytes_GET_SIZE(payload));
    if (text) {
        Py_DECREF(payload);
        return addMessage(found, text);
    }
    if (PyErr_Occurred()) {
        Py_DECREF(payload);
        return -1;
    }
    found->messages = NULL;
    return addFrame(found, first, payload);
}

/* Give back a frame whose payload is an ASCII str; takes over the reference. */
static int
giveText(Found *found, unsigned char first, PyObject *text)
{
    Py_ssize_t size = PyUnicode_GET_LENGTH(text);
    PyObject *payload;

    if (isMessage(found, first, size)) {
        found->count++;
        return addMessage(found, text);
    }
    payload = PyBytes_FromStringAndSize(PyUnicode_DATA(text), size);
    Py_DECREF(text);
    return payload ? giveWhole(found, first, payload) : -1;
}

/* Give back a frame whose payload lies in the segment. */
static int
givePart(Found *found, unsigned char first, const unsigned char *from, Py_ssize_t size,
         const unsigned char *key)
{
    unsigned char buffer[ON_STACK];
    PyObject *ascii = NULL, *text, *payload;

    if (found->messages && first == WHOLE_TEXT && size <= found->limit) {
        const unsigned char *clear = from;
        if (key && size > ON_STACK) {
            ascii = PyUnicode_New(size, 127);
            if (!ascii)
                return -1;
            copyPayload(dataOf(ascii), from, (size_t)size, key);
            if (isASCII(dataOf(ascii), (size_t)size))
                return giveText(found, first, ascii);
            clear = dataOf(ascii);
        }
        else if (key) {
            copyPayload(buffer, from, (size_t)size, key);
            clear = buffer;
        }
        text = decodeText(clear, size);
        Py_XDECREF(ascii);
        if (text) {
            found->count++;
            return addMessage(found, text);
        }
        if (PyErr_Occurred())
            return -1;
        found->messages = NULL;
    }
    payload = copied(from, size, key);
    if (!payload)
        return -1;
    return giveWhole(found, first, payload);
}

/* --- Headers */

typedef struct {
    uint64_t length;
    size_t size;
    unsigned char first;
    unsigned char key[4];
} Header;

/* Remember what is wrong.
 * Returns -1. */
static int
setError(Decoder *self, const char *text)
{
    self->error = PyObject_CallFunction(stateOf(self)->protocolError, "s", text);
    return -1;
}

/* Read a header, of which so many bytes are there.
 * Returns 1 if it is whole, 0 if not, -1 with self->error or an exception set. */
static int
readHeader(Decoder *self, const unsigned char *from, size_t there, Header *header)
{
    unsigned char second;
    uint64_t length;
    size_t size = 2;

    if (there < 2)
        return 0;
    header->first = from[0];
    second = from[1];
    if (!bytesOf(self->valid)[header->first]) {
        self->error = PyObject_CallFunction(stateOf(self)->explainFirstByte, "i",
                                            (int)header->first);
        return -1;
    }
    if (!(second & MASKED) != !self->masked)
        return setError(self, self->masked ? "frame is not masked" : "frame is masked");
    length = second & 0x7F;
    if (length > MOST_SHORT) {
        size_t form = length == 126 ? 2 : 8;
        if (header->first & CONTROL)
            return setError(self, "control frame over 125 bytes");
        size += form;
        if (there < size)
            return 0;
        length = 0;
        for (size_t each = 2; each < size; each++)
            length = length << 8 | from[each];
        /* RFC 6455 section 5.2: the minimal number of bytes MUST be used, and the most
         * significant bit MUST be 0. */
        if (length <= (form == 2 ? MOST_SHORT : MOST_MEDIUM) || length >> 63)
            return setError(
                self, "payload length is not in its shortest form or over 63 bits");
    }
    if (self->masked) {
        if (there < size + 4)
            return 0;
        memcpy(header->key, from + size, 4);
        size += 4;
    }
    header->length = length;
    header->size = size;
    return 1;
}

/* --- The pending payload */

/* Give it room for so many bytes, the first ones or more.
 * Returns -1, and leaves a payload that may be NULL, if memory is short. */
static int
makeRoom(Decoder *self, Py_ssize_t capacity)
{
    if (!self->payload) {
        if (self->first == WHOLE_TEXT && self->length > MOST_SHORT)
            self->payload = PyUnicode_New(capacity, 127);
        else
            self->payload = PyBytes_FromStringAndSize(NULL, capacity);
        return self->payload ? 0 : -1;
    }
    /* Nobody else has it. */
    if (PyUnicode_Check(self->payload))
        return PyUnicode_Resize(&self->payload, capacity);
    return _PyBytes_Resize(&self->payload, capacity);
}

/* Go on with bytes where a text is not ASCII.
 * Returns -1 if memory is short. */
static int
becomeBytes(Decoder *self)
{
    PyObject *text = self->payload;

    self->payload = PyBytes_FromStringAndSize(NULL, PyUnicode_GET_LENGTH(text));
    if (self->payload)
        memcpy(bytesOf(self->payload), dataOf(text), (size_t)self->received);
    Py_DECREF(text);
    return self->payload ? 0 : -1;
}

/* Take more of it, at most what is missing.
 * Returns how much was taken, or -1. */
static Py_ssize_t
append(Decoder *self, const unsigned char *from, Py_ssize_t there)
{
    Py_ssize_t received = self->received, size = there;
    uint64_t needed, capacity;
    unsigned char turned[4], *to;

    if (self->length - (uint64_t)received < (uint64_t)size)
        size = (Py_ssize_t)(self->length - (uint64_t)received);
    needed = (uint64_t)received + (uint64_t)size;
    if (!self->payload || needed > (uint64_t)PyObject_Length(self->payload)) {
        /* Twice what was sent: with the old one, while it is copied, three times. */
        capacity = 2 * needed < FIRST_CAPACITY ? FIRST_CAPACITY : 2 * needed;
        if (capacity > self->length)
            capacity = self->length;
        if (capacity > (uint64_t)PY_SSIZE_T_MAX) {
            PyErr_NoMemory();
            return -1;
        }
        if (makeRoom(self, (Py_ssize_t)capacity) < 0)
            return -1;
    }
    /* The key goes on where the last piece ended. */
    for (int each = 0; each < 4; each++)
        turned[each] = self->key[(received + each) & 3];
    to = dataOf(self->payload) + received;
    copyPayload(to, from, (size_t)size, self->masked ? turned : NULL);
    self->received = received + size;
    self->fresh = size;
    if (PyUnicode_Check(self->payload) && !isASCII(to, (size_t)size) &&
        becomeBytes(self) < 0)
        return -1;
    return size;
}

/* --- The decoder */

/* Take a segment.
 * Returns -1 with an exception set if memory is short. */
static int
decode(Decoder *self, const unsigned char *at, Py_ssize_t there, Found *found)
{
    Py_ssize_t most = stateOf(self)->framesPerFeed;

    if (self->payload) {
        PyObject *payload;
        Py_ssize_t used = append(self, at, there);
        if (used < 0)
            return -1;
        if ((uint64_t)self->received < self->length)
            return 0;
        at += used;
        there -= used;
        /* It is as long as the frame: it never grows beyond, and needed all of it. */
        payload = self->payload;
        self->payload = NULL;
        self->fresh = 0;
        if ((PyUnicode_Check(payload) ? giveText : giveWhole)(found, self->first,
                                                              payload) < 0)
            return -1;
    }
    for (;;) {
        unsigned char joined[LONGEST_HEADER];
        const unsigned char *from = at;
        size_t known = (size_t)there, held = self->heldSize;
        Header header;
        int status;

        if (held) {
            if (known > sizeof joined - held)
                known = sizeof joined - held;
            memcpy(joined, self->held, held);
            memcpy(joined + held, at, known);
            from = joined;
            known += held;
        }
        status = readHeader(self, from, known, &header);
        if (status == 0) {
            /* Less than the longest header, or it would be whole. */
            memcpy(self->held, from, known);
            self->heldSize = (unsigned char)known;
            return 0;
        }
        self->heldSize = 0;
        if (status < 0)
            return self->error ? 0 : -1;
        at += header.size - held;
        there -= (Py_ssize_t)(header.size - held);
        if (header.length > (uint64_t)there) {
            self->first = header.first;
            self->length = header.length;
            memcpy(self->key, header.key, 4);
            self->received = 0;
            return append(self, at, there) < 0 ? -1 : 0;
        }
        if (givePart(found, header.first, at, (Py_ssize_t)header.length,
                     self->masked ? header.key : NULL) < 0)
            return -1;
        at += header.length;
        there -= (Py_ssize_t)header.length;
        if (found->count >= most) {
            if (there) {
                self->rest = copied(at, there, NULL);
                if (!self->rest)
                    return -1;
            }
            return 0;
        }
    }
}

/* Take a segment behind what the last one left.
 * Returns -1 with an exception set if that fails. */
static int
take(Decoder *self, PyObject *data, Found *found)
{
    PyObject *rest = NULL;
    Py_buffer view;
    int status;

    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "the decoder is in use, or has failed");
        return -1;
    }
    if (self->error)
        return 0;
    self->busy = 1;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        self->busy = 0;
        return -1;
    }
    if (self->rest && view.len) {
        PyBytes_Concat(&self->rest, data);
        if (!self->rest) {
            PyBuffer_Release(&view);
            return -1;
        }
    }
    if (self->rest) {
        rest = self->rest;
        self->rest = NULL;
        status = decode(self, bytesOf(rest), PyBytes_GET_SIZE(rest), found);
        Py_DECREF(rest);
    }
    else
        status = decode(self, view.buf, view.len, found);
    PyBuffer_Release(&view);
    /* After a failure frames are lost, so it stays as if in use. */
    if (status == 0)
        self->busy = 0;
    return status;
}

PyDoc_STRVAR(feedDoc,
"feed($self, data, /)\n--\n\n"
"Take a segment of the stream, see twisted_ws.frames.FrameDecoder.feed.");

static PyObject *
Decoder_feed(PyObject *self, PyObject *data)
{
    Found found = {PyList_New(0), NULL, 0, 0};

    if (found.frames && take((Decoder *)self, data, &found) < 0)
        Py_CLEAR(found.frames);
    return found.frames;
}

PyDoc_STRVAR(feedMessagesDoc,
"feedMessages($self, data, limit, /)\n--\n\n"
"Take a segment of the stream, see twisted_ws.frames.FrameDecoder.feedMessages.");

static PyObject *
Decoder_feedMessages(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Found found = {NULL, NULL, 0, 0};
    PyObject *messages, *both = NULL;

    if (checkCount("feedMessages", count, 2, 2) < 0)
        return NULL;
    /* One that is too large for its type becomes the largest. */
    found.limit = PyNumber_AsSsize_t(args[1], NULL);
    if (found.limit == -1 && PyErr_Occurred())
        return NULL;
    found.frames = PyList_New(0);
    found.messages = messages = found.frames ? PyList_New(0) : NULL;
    if (messages && take((Decoder *)self, args[0], &found) == 0)
        both = PyTuple_Pack(2, messages, found.frames);
    Py_XDECREF(found.frames);
    Py_XDECREF(messages);
    return both;
}

static PyObject *
Decoder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"masked", "reservedBits", NULL};
    PyObject *reservedBits = NULL, *none = NULL, *valid;
    PyObject *module = PyType_GetModule(type);
    Decoder *self;
    State *state;
    int masked;

    if (!module)
        return NULL;
    state = PyModule_GetState(module);
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "p|O:FrameDecoder", names, &masked,
                                     &reservedBits))
        return NULL;
    if (!reservedBits) {
        none = PyLong_FromLong(0);
        if (!none)
            return NULL;
        reservedBits = none;
    }
    valid = PyObject_GetItem(state->validFirstBytes, reservedBits);
    Py_XDECREF(none);
    if (!valid)
        return NULL;
    if (!PyBytes_Check(valid) || PyBytes_GET_SIZE(valid) != 256) {
        Py_DECREF(valid);
        PyErr_SetString(PyExc_SystemError, "no table of 256 first bytes");
        return NULL;
    }
    self = (Decoder *)type->tp_alloc(type, 0);
    if (!self) {
        Py_DECREF(valid);
        return NULL;
    }
    self->module = module;
    Py_INCREF(module);
    self->valid = valid;
    self->masked = (char)masked;
    return (PyObject *)self;
}

PyDoc_STRVAR(forkDoc,
"fork($self, /)\n--\n\n"
"Make another one that goes on from here, see twisted_ws.frames.FrameDecoder.fork.");

static PyObject *
Decoder_fork(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    PyTypeObject *type = Py_TYPE(object);
    Decoder *self = (Decoder *)object;
    Decoder *other;

    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "the decoder is in use, or has failed");
        return NULL;
    }
    /* First, as the garbage collector may run here, and feed this decoder; what comes
     * behind it does not make it run. */
    other = (Decoder *)type->tp_alloc(type, 0);
    if (!other)
        return NULL;
    if (self->payload) {
        Py_ssize_t capacity = PyObject_Length(self->payload);
        if (PyUnicode_Check(self->payload))
            other->payload = PyUnicode_New(capacity, 127);
        else
            other->payload = PyBytes_FromStringAndSize(NULL, capacity);
        if (!other->payload) {
            Py_DECREF(other);
            return NULL;
        }
        memcpy(dataOf(other->payload), dataOf(self->payload), (size_t)self->received);
    }
    other->module = self->module;
    Py_INCREF(self->module);
    Py_INCREF(self->valid);
    other->valid = self->valid;
    Py_XINCREF(self->error);
    other->error = self->error;
    Py_XINCREF(self->rest);
    other->rest = self->rest;
    other->length = self->length;
    other->received = self->received;
    other->fresh = self->fresh;
    memcpy(other->key, self->key, sizeof self->key);
    memcpy(other->held, self->held, sizeof self->held);
    other->heldSize = self->heldSize;
    other->first = self->first;
    other->masked = self->masked;
    return (PyObject *)other;
}

static int
Decoder_traverse(PyObject *object, visitproc visit, void *arg)
{
    Decoder *self = (Decoder *)object;

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->module);
    /* This can lead back: a raised exception knows its frames. */
    Py_VISIT(self->error);
    return 0;
}

static int
Decoder_clear(PyObject *object)
{
    Decoder *self = (Decoder *)object;

    Py_CLEAR(self->error);
    return 0;
}

static void
Decoder_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    Decoder *self = (Decoder *)object;

    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->error);
    Py_CLEAR(self->module);
    Py_CLEAR(self->valid);
    Py_CLEAR(self->payload);
    Py_CLEAR(self->rest);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
Decoder_error(PyObject *object, void *Py_UNUSED(closure))
{
    Decoder *self = (Decoder *)object;
    PyObject *error = self->error ? self->error : Py_None;
    Py_INCREF(error);
    return error;
}

static PyObject *
Decoder_pending(PyObject *object, void *Py_UNUSED(closure))
{
    Decoder *self = (Decoder *)object;

    if (!self->payload)
        Py_RETURN_NONE;
    return Py_BuildValue("(iK)", (int)self->first, (unsigned long long)self->length);
}

static PyObject *
Decoder_partial(PyObject *object, void *Py_UNUSED(closure))
{
    Decoder *self = (Decoder *)object;

    if (!self->payload)
        return PyBytes_FromStringAndSize(NULL, 0);
    return copied(dataOf(self->payload) + self->received - self->fresh, self->fresh,
                  NULL);
}

static PyObject *
Decoder_received(PyObject *object, void *Py_UNUSED(closure))
{
    Decoder *self = (Decoder *)object;

    return PyLong_FromSsize_t(self->payload ? self->received : 0);
}

static PyObject *
Decoder_isASCII(PyObject *object, void *Py_UNUSED(closure))
{
    Decoder *self = (Decoder *)object;

    return PyBool_FromLong(self->payload && PyUnicode_Check(self->payload));
}

static PyObject *
Decoder_hasMore(PyObject *object, void *Py_UNUSED(closure))
{
    Decoder *self = (Decoder *)object;

    return PyBool_FromLong(self->rest != NULL);
}

static PyObject *
Decoder_isMidFrame(PyObject *object, void *Py_UNUSED(closure))
{
    Decoder *self = (Decoder *)object;

    return PyBool_FromLong(self->payload || self->heldSize || self->rest);
}

static PyMethodDef Decoder_methods[] = {
    {"feed", Decoder_feed, METH_O, feedDoc},
    {"feedMessages", (PyCFunction)(void (*)(void))Decoder_feedMessages, METH_FASTCALL,
     feedMessagesDoc},
    {"fork", Decoder_fork, METH_NOARGS, forkDoc},
    {NULL, NULL, 0, NULL}
};

static PyGetSetDef Decoder_getters[] = {
    {"error", Decoder_error, NULL,
     "What is wrong with the first bytes that are no frame.", NULL},
    {"pending", Decoder_pending, NULL,
     "First byte and payload length of a frame that has not ended.", NULL},
    {"partial", Decoder_partial, NULL,
     "What the last segment brought of its payload, unmasked.", NULL},
    {"received", Decoder_received, NULL, "How many bytes of it have come.", NULL},
    {"isASCII", Decoder_isASCII, NULL,
     "Whether it is a whole text, and all that has come of it is ASCII.", NULL},
    {"hasMore", Decoder_hasMore, NULL,
     "Whether feed() left some frames for its next call.", NULL},
    {"isMidFrame", Decoder_isMidFrame, NULL,
     "Whether a frame has begun and not ended.", NULL},
    {NULL, NULL, NULL, NULL, NULL}
};

PyDoc_STRVAR(decoderDoc,
"FrameDecoder(masked, reservedBits=0)\n--\n\n"
"Cut a stream of bytes into frames, see twisted_ws.frames.FrameDecoder.");

static PyType_Slot decoderSlots[] = {
    {Py_tp_doc, (void *)decoderDoc},
    {Py_tp_new, Decoder_new},
    {Py_tp_dealloc, Decoder_dealloc},
    {Py_tp_traverse, Decoder_traverse},
    {Py_tp_clear, Decoder_clear},
    {Py_tp_methods, Decoder_methods},
    {Py_tp_getset, Decoder_getters},
    {0, NULL}
};

/* Not to be subclassed: then the type finds its module without a search. */
static PyType_Spec decoderSpec = {
    .name = "twisted_ws._speedups.FrameDecoder",
    .basicsize = sizeof(Decoder),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = decoderSlots,
};

/* --- The module */

/* Import the rules. */
static int
importRules(State *state)
{
    PyObject *frames = PyImport_ImportModule("twisted_ws.frames"), *number = NULL;
    int status = -1;

    if (!frames)
        return -1;
    if ((state->validFirstBytes = PyObject_GetAttrString(frames, "_VALID")) &&
        (state->explainFirstByte =
             PyObject_GetAttrString(frames, "_explainFirstByte")) &&
        (state->protocolError = PyObject_GetAttrString(frames, "ProtocolError")) &&
        (number = PyObject_GetAttrString(frames, "FRAMES_PER_FEED"))) {
        state->framesPerFeed = PyLong_AsSsize_t(number);
        Py_DECREF(number);
        status = state->framesPerFeed == -1 && PyErr_Occurred() ? -1 : 0;
    }
    Py_DECREF(frames);
    return status;
}

static int
execute(PyObject *module)
{
    State *state = PyModule_GetState(module);

    if (importRules(state) < 0)
        return -1;
    state->decoderType = PyType_FromModuleAndSpec(module, &decoderSpec, NULL);
    if (!state->decoderType)
        return -1;
    if (PyModule_AddIntConstant(module, "CONTRACT", CONTRACT) < 0)
        return -1;
    return PyModule_AddType(module, (PyTypeObject *)state->decoderType);
}

static int
traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);

    Py_VISIT(state->decoderType);
    Py_VISIT(state->protocolError);
    Py_VISIT(state->explainFirstByte);
    Py_VISIT(state->validFirstBytes);
    return 0;
}

static int
clear(PyObject *module)
{
    State *state = PyModule_GetState(module);

    Py_CLEAR(state->decoderType);
    Py_CLEAR(state->protocolError);
    Py_CLEAR(state->explainFirstByte);
    Py_CLEAR(state->validFirstBytes);
    return 0;
}

static void
release(void *module)
{
    clear((PyObject *)module);
}

static PyMethodDef functions[] = {
    {"encodeFrame", (PyCFunction)(void (*)(void))speedups_encodeFrame, METH_FASTCALL,
     encodeFrameDoc},
    {"mask", (PyCFunction)(void (*)(void))speedups_mask, METH_FASTCALL, maskDoc},
    {NULL, NULL, 0, NULL}
};

static PyModuleDef_Slot moduleSlots[] = {
    {Py_mod_exec, execute},
#ifdef Py_mod_multiple_interpreters
    /* All that changes belongs to a module or a decoder. */
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
    /* A decoder has no lock of its own: without the GIL two threads could be in it. */
    {Py_mod_gil, Py_MOD_GIL_USED},
#endif
    {0, NULL}
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "twisted_ws._speedups",
    .m_doc = "Frames and masking in C, see twisted_ws.codec.",
    .m_size = sizeof(State),
    .m_methods = functions,
    .m_slots = moduleSlots,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = release,
};

PyMODINIT_FUNC
PyInit__speedups(void)
{
    return PyModuleDef_Init(&definition);
}
