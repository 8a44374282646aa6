import ctypes, os, threading
rt = ctypes.CDLL('librt.so.1', use_errno=True)
libc = ctypes.CDLL('libc.so.6', use_errno=True)
class Attributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ('flags', 'maxmsg', 'msgsize', 'curmsgs')] + [('pad', ctypes.c_long * 4)]
def call(function, *arguments):
    result = function(*arguments)
    return result if result >= 0 else os.strerror(ctypes.get_errno())
name = b'/python-%d' % os.getpid()
wished = Attributes(maxmsg=4, msgsize=64)
queue = rt.mq_open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600, ctypes.byref(wished))
for priority, text in ((1, b'one'), (9, b'nine'), (5, b'five')):
    print(call(rt.mq_send, queue, text, len(text), priority))
told, buffer, priority = Attributes(), ctypes.create_string_buffer(64), ctypes.c_uint()
print(call(rt.mq_getattr, queue, ctypes.byref(told)), told.maxmsg, told.msgsize, told.curmsgs)
for _ in range(3):
    length = rt.mq_receive(queue, buffer, 64, ctypes.byref(priority))
    print(buffer.raw[:length], priority.value)
class Event(ctypes.Structure):
    _fields_ = [('value', ctypes.c_long), ('signo', ctypes.c_int), ('notify', ctypes.c_int), ('function', ctypes.c_void_p),
                ('attributes', ctypes.c_void_p), ('pad', ctypes.c_int * 8)]
arrived = threading.Event()
@ctypes.CFUNCTYPE(None, ctypes.c_long)
def on_message(value):
    print('told of', value)
    arrived.set()
event = Event(value=77, notify=2, function=ctypes.cast(on_message, ctypes.c_void_p).value)
print(call(rt.mq_notify, queue, ctypes.byref(event)))
print(call(rt.mq_send, queue, b'again', 5, 0), arrived.wait(10))
print(call(rt.mq_close, queue), call(rt.mq_unlink, name), call(rt.mq_unlink, name))
class Message(ctypes.Structure):
    _fields_ = [('type', ctypes.c_long), ('text', ctypes.c_char * 64)]
system = libc.msgget(0, 0o600)
for kind, text in ((3, b'three'), (1, b'one')):
    print(call(libc.msgsnd, system, ctypes.byref(Message(kind, text)), len(text), 0))
got = Message()
libc.msgrcv.restype = ctypes.c_ssize_t
print(call(libc.msgrcv, system, ctypes.byref(got), 64, ctypes.c_long(-2), 0), got.type, got.text)
print(call(libc.msgrcv, system, ctypes.byref(got), 64, ctypes.c_long(2), 0o4000))
print(call(libc.msgctl, system, 0, None))
