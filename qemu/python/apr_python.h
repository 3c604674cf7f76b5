/* A model's batch functions for Python: arrays go in and out without a copy, and other threads run meanwhile.
 *
 * The declarations are those of Python's stable ABI since version 3.11 (docs.python.org/3/c-api/stable.html), so Python's
 * headers need not be installed; the interpreter that loads the library has the functions. Whoever includes this
 * includes NAME.h before and defines APR_MODEL(function), APR_N_FEATURES and APR_N_OUTPUTS. */
#ifndef APR_PYTHON_H
#define APR_PYTHON_H

#include <stddef.h>
#include <stdint.h>

typedef struct _object PyObject;
typedef struct {
    void *buf;
    PyObject *obj;
    ptrdiff_t len;
    ptrdiff_t itemsize;
    int readonly;
    int ndim;
    char *format;
    ptrdiff_t *shape;
    ptrdiff_t *strides;
    ptrdiff_t *suboffsets;
    void *internal;
} Py_buffer;
typedef PyObject *(*apr_fastcall)(PyObject *self, PyObject *const *arguments, ptrdiff_t n_arguments);
typedef struct {
    const char *name;
    apr_fastcall function;
    int flags;
    const char *doc;
} PyMethodDef;

extern int PyObject_GetBuffer(PyObject *exporter, Py_buffer *view, int flags);
extern void PyBuffer_Release(Py_buffer *view);
extern void PyErr_Clear(void);
extern void *PyEval_SaveThread(void);
extern void PyEval_RestoreThread(void *state);
extern PyObject *PyBool_FromLong(long value);

#define APR_METH_FASTCALL 0x0080
#define APR_C_CONTIGUOUS 0x003C /* PyBUF_C_CONTIGUOUS | PyBUF_FORMAT */
#define APR_WRITABLE 0x0001

/* A contiguous and aligned array of 4-byte elements of that format, whose view must be released; 0: it is something
 * else. The second dimension is n_columns; 0: there is none. */
static int apr_array(PyObject *object, Py_buffer *view, int flags, char format, ptrdiff_t n_columns)
{
    int fits;
    if (PyObject_GetBuffer(object, view, APR_C_CONTIGUOUS | flags) != 0) {
        PyErr_Clear();
        return 0;
    }
    fits = (view->itemsize == 4) && (view->format != NULL) && (view->format[0] == format) && (view->format[1] == '\0')
        && (((uintptr_t)view->buf % 4U) == 0U);
    fits = fits && ((n_columns == 0) ? (view->ndim == 1) : ((view->ndim == 2) && (view->shape[1] == n_columns)));
    if (!fits) {
        PyBuffer_Release(view);
    }
    return fits;
}

/* True: rows[n, APR_N_FEATURES] were computed into the second argument; False: nothing was done, as the arrays are not
 * of the kind that C takes. */
#define APR_PYTHON_CALL(function, type, format, n_columns)                                                             \
    static PyObject *apr_python_##function(PyObject *self, PyObject *const *arguments, ptrdiff_t n_arguments)          \
    {                                                                                                                  \
        Py_buffer rows;                                                                                                \
        Py_buffer out;                                                                                                 \
        long done = 0;                                                                                                 \
        (void)self;                                                                                                    \
        if ((n_arguments == 2) && apr_array(arguments[0], &rows, 0, 'f', APR_N_FEATURES)) {                            \
            if (apr_array(arguments[1], &out, APR_WRITABLE, format, n_columns)) {                                      \
                if (out.shape[0] == rows.shape[0]) {                                                                   \
                    void *const state = PyEval_SaveThread();                                                           \
                    APR_MODEL(function)((const float *)rows.buf, (size_t)rows.shape[0], (type *)out.buf);              \
                    PyEval_RestoreThread(state);                                                                       \
                    done = 1;                                                                                          \
                }                                                                                                      \
                PyBuffer_Release(&out);                                                                                \
            }                                                                                                          \
            PyBuffer_Release(&rows);                                                                                   \
        }                                                                                                              \
        return PyBool_FromLong(done);                                                                                  \
    }                                                                                                                  \
    PyMethodDef apr_method_##function = {                                                                              \
        #function, apr_python_##function, APR_METH_FASTCALL, "rows, out -> whether it was done"};

#endif
