/* SPDX-License-Identifier: Apache-2.0
 *
 * FILE.rpc.h and FILE.rpc.c: the typed stubs of a file's services. They add
 * types to gen/stub and nothing else: what a call does is written there once.
 */
#include "emit.h"

typedef Google__Protobuf__FileDescriptorProto file_proto;
typedef Google__Protobuf__DescriptorProto message_proto;
typedef Google__Protobuf__FieldDescriptorProto field_proto;
typedef Google__Protobuf__ServiceDescriptorProto service_proto;
typedef Google__Protobuf__MethodDescriptorProto method_proto;

enum {
    /* Messages inside messages: protects this program's stack from a schema that
     * nests without end in a way that the search for cycles did not foresee. */
    MESSAGE_DEPTH_MAX = 64,
};

/* One method with the names that its stubs have. */
struct method {
    struct output *output;
    const char *path;   /* "/outpost.v1.SyncService/Sync" */
    const char *name;   /* "Sync" */
    const char *member; /* of the handlers: "sync" */
    const char *local;  /* prefix of static names: "sync_service_sync" */
    const char *server; /* prefix: "outpost_v1_sync_service_sync" */
    const char *client; /* prefix: "outpost_v1_sync_service_client_sync" */
    const char *request, *request_descriptor;
    const char *response, *response_descriptor;
    const char *handlers; /* "outpost_v1_sync_service_handlers" */
    bool many_requests, many_responses;
};

struct service {
    const char *name;   /* "outpost.v1.SyncService" */
    const char *prefix; /* "outpost_v1_sync_service" */
    size_t method_count;
    struct method *methods;
};

/* ---- What is refused ------------------------------------------------------- */

/* The message of that full name (".outpost.v1.Record"); NULL: none. */
static const message_proto *find_inside(const message_proto *message, const char *rest)
{
    size_t len = strlen(message->name);

    if (strncmp(rest, message->name, len) != 0)
        return NULL;
    if (rest[len] == '\0')
        return message;
    if (rest[len] != '.')
        return NULL;
    for (size_t i = 0; i < message->n_nested_type; i++) {
        const message_proto *found = find_inside(message->nested_type[i], rest + len + 1);
        if (found != NULL)
            return found;
    }
    return NULL;
}

static const message_proto *find_message(const Plugin__Request *request, const char *full_name)
{
    for (size_t i = 0; i < request->n_proto_file; i++) {
        const file_proto *file = request->proto_file[i];
        const char *package = file->package != NULL ? file->package : "";
        const char *rest = full_name + 1;
        size_t len = strlen(package);
        if (strncmp(rest, package, len) != 0 || (len > 0 && rest[len] != '.'))
            continue;
        rest += len > 0 ? len + 1 : 0;
        for (size_t j = 0; j < file->n_message_type; j++) {
            const message_proto *found = find_inside(file->message_type[j], rest);
            if (found != NULL)
                return found;
        }
    }
    return NULL;
}

/* The messages from a method's message down to one of its inner messages. */
struct path {
    const char *names[MESSAGE_DEPTH_MAX];
    size_t count;
};

/* protobuf-c unpacks without a limit of depth, so what a peer may send must not
 * nest without end. */
static bool check_finite(struct output *output, const Plugin__Request *request, const char *method,
                         struct path *path, const char *full_name)
{
    const message_proto *message = find_message(request, full_name);

    for (size_t i = 0; i < path->count; i++)
        if (strcmp(path->names[i], full_name) == 0)
            return schema_fault(output,
                                "%s: message %s contains itself, and a peer could nest it without "
                                "end: name what it refers to by an id instead",
                                method, full_name + 1);
    if (message == NULL || path->count == MESSAGE_DEPTH_MAX)
        return schema_fault(output, "%s: message %s is nested too deep to be looked at", method,
                            full_name + 1);
    path->names[path->count++] = full_name;
    for (size_t i = 0; i < message->n_field; i++) {
        const field_proto *field = message->field[i];
        if (field->type != GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_MESSAGE &&
            field->type != GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_GROUP)
            continue;
        if (!check_finite(output, request, method, path, field->type_name))
            return false;
    }
    path->count--;
    return true;
}

/* Methods become members of structs, here and in protoc-gen-c's output. */
static bool is_word_of_c(struct output *output, const char *name)
{
    static const char words[] =
        " alignas alignof and asm auto bool break case catch char class compl concept const"
        " constexpr continue decltype default delete do double else enum explicit export extern"
        " false float for friend goto if inline int long mutable namespace new noexcept not"
        " nullptr operator or private protected public register requires restrict return short"
        " signed sizeof static struct switch template this throw true try typedef typeid typename"
        " union unsigned using virtual void volatile while xor service ";

    return strstr(words, output_string(output, " %s ", name)) != NULL;
}

static bool check_method(struct output *output, const Plugin__Request *request, const char *file,
                         const service_proto *service, const method_proto *method)
{
    const char *where =
        output_string(output, "%s: service %s, method %s", file, service->name, method->name);
    struct path path = {0};

    if (is_word_of_c(output, name_snake(output, method->name)))
        return schema_fault(output,
                            "%s: the name in small letters is a word of C or C++, or \"service\": "
                            "choose another name",
                            where);
    return check_finite(output, request, where, &path, method->input_type) &&
           check_finite(output, request, where, &path, method->output_type);
}

/* ---- Names ------------------------------------------------------------------ */

static struct method method_of(struct output *output, const char *package,
                               const service_proto *service, const method_proto *proto)
{
    const char *prefix = name_package(output, package, '_');
    const char *service_snake = name_snake(output, service->name);
    const char *snake = name_snake(output, proto->name);

    return (struct method){
        .output = output,
        .path = output_string(output, "/%s.%s/%s", package, service->name, proto->name),
        .name = proto->name,
        .member = snake,
        .local = output_string(output, "%s_%s", service_snake, snake),
        .server = output_string(output, "%s_%s_%s", prefix, service_snake, snake),
        .client = output_string(output, "%s_%s_client_%s", prefix, service_snake, snake),
        .request = name_c_type(output, proto->input_type),
        .response = name_c_type(output, proto->output_type),
        .request_descriptor =
            output_string(output, "%s__descriptor", name_c_lower(output, proto->input_type)),
        .response_descriptor =
            output_string(output, "%s__descriptor", name_c_lower(output, proto->output_type)),
        .handlers = output_string(output, "%s_%s_handlers", prefix, service_snake),
        .many_requests = proto->client_streaming != 0,
        .many_responses = proto->server_streaming != 0,
    };
}

static struct service service_of(struct output *output, const char *package,
                                 const service_proto *proto)
{
    struct service service = {
        .name = output_string(output, "%s.%s", package, proto->name),
        .prefix = output_string(output, "%s_%s", name_package(output, package, '_'),
                                name_snake(output, proto->name)),
        .method_count = proto->n_method,
        .methods = output_alloc(output, proto->n_method, sizeof(struct method)),
    };

    for (size_t i = 0; i < proto->n_method; i++)
        service.methods[i] = method_of(output, package, proto, proto->method[i]);
    return service;
}

/* ---- C ----------------------------------------------------------------------- */

/* A function's head, or a member that points to a function: "void f(", the
 * parameters up to NULL, the tail. */
static void add_function(struct text *text, const char *head, const char *const *parameters,
                         const char *tail)
{
    size_t count = 0;

    while (parameters[count] != NULL)
        count++;
    text_add_parameters(text, head, parameters, count, tail);
}

/* Parameters as a list that ends with NULL. */
#define PARAMETERS(...) ((const char *const[]){__VA_ARGS__, NULL})

static const char *pointer_to(const struct method *method, const char *type, const char *name)
{
    return output_string(method->output, "const %s *%s", type, name);
}

static void add_comment(struct text *text, const char *indent, const char *words)
{
    struct text comment = {0};
    struct text next_line = {0};

    text_add(&comment, "/* %s */", words);
    text_add(&next_line, "%s * ", indent);
    text_add(text, "%s", indent);
    text_add_words(text, comment.data, next_line.data, OUTPUT_COLUMNS);
    text_add(text, "\n");
    text_deinit(&comment);
    text_deinit(&next_line);
}

/* ---- The header: server -------------------------------------------------------- */

/* Of a method that takes one request. */
static void add_unary_handlers(struct text *text, const struct method *method)
{
    struct output *output = method->output;
    const char *meaning =
        method->many_responses
            ? output_string(output,
                            "%s: one request came; it lives until the return. Send responses, now "
                            "or later, with %s_send, and end the call with rpc_call_finish.",
                            method->name, method->server)
            : output_string(output,
                            "%s: one request came; it lives until the return. Answer it once, now "
                            "or later, with %s_reply or rpc_call_finish.",
                            method->name, method->server);

    add_comment(text, "    ", meaning);
    add_function(text, output_string(output, "    void (*%s)(", method->member),
                 PARAMETERS("void *service", "rpc_call *call",
                            pointer_to(method, method->request, "request")),
                 ");");
    if (method->many_responses) {
        add_comment(
            text, "    ",
            output_string(output, "%s: more responses fit again. May be NULL.", method->name));
        text_add(text, "    void (*%s_writable)(void *service, rpc_call *call);\n", method->member);
    }
    add_comment(text, "    ",
                output_string(output,
                              "%s: a call that was handed to the handler is over, answered or not; "
                              "it is gone after the return. May be NULL.",
                              method->name));
    text_add(text, "    void (*%s_closed)(void *service, rpc_call *call);\n", method->member);
}

/* Of a method that takes many requests. */
static void add_stream_handlers(struct text *text, const struct method *method)
{
    struct output *output = method->output;
    const char *meaning =
        method->many_responses
            ? output_string(output,
                            "%s: requests are answered with %s_send, and the call is ended with "
                            "rpc_call_finish. Each may be NULL, but not both on_request and "
                            "on_request_bytes. The context is what on_open set, or the service.",
                            method->name, method->server)
            : output_string(output,
                            "%s: all requests together are answered once, with %s_reply or "
                            "rpc_call_finish. Each may be NULL, but not both on_request and "
                            "on_request_bytes. The context is what on_open set, or the service.",
                            method->name, method->server);

    add_comment(text, "    ", meaning);
    text_add(text, "    struct {\n"
                   "        void (*on_open)(void *service, rpc_call *call, void **context_out);\n"
                   "        /* The request lives until the return. */\n");
    add_function(text, "        void (*on_request)(",
                 PARAMETERS("void *context", "rpc_call *call",
                            pointer_to(method, method->request, "request")),
                 ");");
    text_add(
        text,
        "        /* When set, it is called instead of on_request, with the bytes that came. */\n"
        "        void (*on_request_bytes)(void *context, rpc_call *call, struct rpc_bytes "
        "request);\n"
        "        void (*on_half_close)(void *context, rpc_call *call);\n"
        "        void (*on_writable)(void *context, rpc_call *call);\n"
        "        void (*on_close)(void *context, rpc_call *call, const struct rpc_status *status,\n"
        "                         struct rpc_metadata_list trailers);\n"
        "    } %s;\n",
        method->member);
}

static void add_server_header(struct output *output, struct text *text,
                              const struct service *service)
{
    text_add(text, "\n/* ---- %s, server ---- */\n\n", service->name);
    text_add(text, "enum { %s_METHODS = %zu };\n\n", name_upper(output, service->prefix),
             service->method_count);
    add_comment(text, "",
                "Who handles the calls. It lives as long as any connection; a method whose handler "
                "is NULL is UNIMPLEMENTED.");
    text_add(text, "struct %s_handlers {\n    void *service; /* given to the handlers */\n",
             service->prefix);
    for (size_t i = 0; i < service->method_count; i++) {
        text_add(text, "\n");
        if (service->methods[i].many_requests)
            add_stream_handlers(text, &service->methods[i]);
        else
            add_unary_handlers(text, &service->methods[i]);
    }
    text_add(text, "};\n\n");
    add_comment(text, "",
                output_string(output,
                              "Fills in the service's methods, %s_METHODS in number, for "
                              "rpc_server_options; returns how many.",
                              name_upper(output, service->prefix)));
    add_function(
        text, output_string(output, "size_t %s_methods(", service->prefix),
        PARAMETERS(output_string(output, "const struct %s_handlers *handlers", service->prefix),
                   "struct rpc_method *methods_out"),
        ");");
    for (size_t i = 0; i < service->method_count; i++) {
        const struct method *method = &service->methods[i];
        text_add(text, "\n/* %s */\n",
                 method->many_responses
                     ? "Sends one response; rpc_call_writable says whether more fit."
                     : "Sends the response and finishes the call with OK.");
        add_function(text,
                     output_string(output, "void %s_%s(", method->server,
                                   method->many_responses ? "send" : "reply"),
                     PARAMETERS("rpc_call *call", pointer_to(method, method->response, "response")),
                     ");");
    }
}

/* ---- The header: client -------------------------------------------------------- */

/* The head of the function that starts a call. */
static void add_start(struct text *text, const struct method *method, const char *tail)
{
    struct output *output = method->output;
    const char *request = pointer_to(method, method->request, "request");
    const char *done = output_string(output, "%s_done *on_done", method->client);
    const char *events = output_string(output, "const struct %s_events *events", method->client);
    const char *parameters[8] = {"rpc_conn *conn", "struct rpc_metadata_list metadata",
                                 "int64_t timeout_ms"};
    size_t count = 3;

    if (!method->many_requests)
        parameters[count++] = request;
    parameters[count++] = method->many_requests || method->many_responses ? events : done;
    parameters[count++] = "void *context";
    add_function(text, output_string(output, "rpc_call *%s(", method->client), parameters, tail);
}

static void add_stream_send(struct text *text, const struct method *method, const char *tail)
{
    add_function(text, output_string(method->output, "void %s_send(", method->client),
                 PARAMETERS("rpc_call *call", pointer_to(method, method->request, "request")),
                 tail);
}

static void add_unary_client_header(struct text *text, const struct method *method)
{
    struct output *output = method->output;

    add_comment(text, "",
                output_string(output,
                              "%s: how the call ended, once. The response is NULL unless the "
                              "status is OK, and lives until the return.",
                              method->name));
    add_function(text, output_string(output, "typedef void %s_done(", method->client),
                 PARAMETERS("void *context", "const struct rpc_status *status",
                            pointer_to(method, method->response, "response")),
                 ");");
    text_add(text, "\n");
    add_comment(text, "",
                "Sends the request. timeout_ms is from now; 0: no deadline. NULL: no memory, a "
                "request that is too large, or a closed connection; then on_done is not called.");
    add_start(text, method, ");");
}

static void add_start_comment(struct text *text, const struct method *method)
{
    const char *sends =
        method->many_requests ? "Starts a call." : "Sends the request, of which there is one.";

    add_comment(
        text, "",
        output_string(method->output,
                      "%s The events live as long as the call. timeout_ms is from now; 0: "
                      "no deadline. NULL: no memory, or a closed connection%s; then nothing "
                      "is called.",
                      sends, method->many_requests ? "" : ", or a request too large"));
}

static void add_send_header(struct text *text, const struct method *method)
{
    text_add(text, "\n/* Sends one request; rpc_call_writable says whether more fit. */\n");
    add_stream_send(text, method, ");");
}

/* Of a method with many responses. */
static void add_stream_client_header(struct text *text, const struct method *method)
{
    struct output *output = method->output;

    add_comment(
        text, "",
        output_string(output, "%s: what a call tells its owner. Each may be NULL.", method->name));
    text_add(text, "struct %s_events {\n    /* The response lives until the return. */\n",
             method->client);
    add_function(text, "    void (*on_response)(",
                 PARAMETERS("void *context", "rpc_call *call",
                            pointer_to(method, method->response, "response")),
                 ");");
    text_add(text,
             "    /* When set, it is called instead of on_response, with the bytes that came. */\n"
             "    void (*on_response_bytes)(void *context, rpc_call *call, struct rpc_bytes "
             "response);\n");
    if (method->many_requests)
        text_add(text, "    void (*on_writable)(void *context, rpc_call *call);\n");
    text_add(
        text,
        "    /* The call is over, once, with the server's trailing metadata; it is gone after the "
        "return. */\n"
        "    void (*on_close)(void *context, rpc_call *call, const struct rpc_status *status,\n"
        "                     struct rpc_metadata_list trailers);\n"
        "};\n\n");
    add_start_comment(text, method);
    add_start(text, method, ");");
    if (method->many_requests)
        add_send_header(text, method);
}

/* Of a method with many requests and one response. */
static void add_upload_client_header(struct text *text, const struct method *method)
{
    struct output *output = method->output;

    add_comment(text, "", output_string(output, "%s: what a call tells its owner.", method->name));
    text_add(text,
             "struct %s_events {\n"
             "    /* More requests fit again. May be NULL. */\n"
             "    void (*on_writable)(void *context, rpc_call *call);\n"
             "    /* How the call ended, once. The response is NULL unless the status is OK, and\n"
             "     * lives until the return. */\n",
             method->client);
    add_function(text, "    void (*on_done)(",
                 PARAMETERS("void *context", "const struct rpc_status *status",
                            pointer_to(method, method->response, "response")),
                 ");");
    text_add(text, "};\n\n");
    add_start_comment(text, method);
    add_start(text, method, ");");
    add_send_header(text, method);
}

static void add_client_header(struct text *text, const struct service *service)
{
    text_add(text, "\n/* ---- %s, client ---- */\n", service->name);
    for (size_t i = 0; i < service->method_count; i++) {
        text_add(text, "\n");
        const struct method *method = &service->methods[i];
        if (method->many_responses)
            add_stream_client_header(text, method);
        else if (method->many_requests)
            add_upload_client_header(text, method);
        else
            add_unary_client_header(text, method);
    }
}

/* ---- The source: server -------------------------------------------------------- */

/* The function that sends a response: one of many, or the one. */
static void add_answer(struct text *text, const struct method *method)
{
    add_function(text,
                 output_string(method->output, "void %s_%s(", method->server,
                               method->many_responses ? "send" : "reply"),
                 PARAMETERS("rpc_call *call", pointer_to(method, method->response, "response")),
                 ")");
    text_add(text, "{\n    %s(call, &response->base);\n}\n\n",
             method->many_responses ? "stub_server_send" : "stub_unary_reply");
}

static void add_unary_server(struct text *text, const struct method *method)
{
    struct output *output = method->output;

    add_function(
        text, output_string(output, "static void %s_request(", method->local),
        PARAMETERS("const void *handlers", "rpc_call *call", "const ProtobufCMessage *request"),
        ")");
    text_add(text, "{\n    const struct %s *own = handlers;\n\n", method->handlers);
    add_function(text, output_string(output, "    own->%s(", method->member),
                 PARAMETERS("own->service", "call",
                            output_string(output, "(const %s *)request", method->request)),
                 ");");
    text_add(text, "}\n\n");

    add_function(text, output_string(output, "static void %s_close(", method->local),
                 PARAMETERS("const void *handlers", "rpc_call *call"), ")");
    text_add(text,
             "{\n"
             "    const struct %s *own = handlers;\n"
             "\n"
             "    if (own->%s_closed != NULL)\n"
             "        own->%s_closed(own->service, call);\n"
             "}\n\n",
             method->handlers, method->member, method->member);

    if (method->many_responses) {
        add_function(text, output_string(output, "static void %s_writable(", method->local),
                     PARAMETERS("const void *handlers", "rpc_call *call"), ")");
        text_add(text,
                 "{\n"
                 "    const struct %s *own = handlers;\n"
                 "\n"
                 "    if (own->%s_writable != NULL)\n"
                 "        own->%s_writable(own->service, call);\n"
                 "}\n\n",
                 method->handlers, method->member, method->member);
    }
    add_function(text, output_string(output, "static void %s_open(", method->local),
                 PARAMETERS("void *handlers", "rpc_call *call",
                            "struct rpc_call_events *events_out", "void **context_out"),
                 ")");
    text_add(text,
             "{\n"
             "    static const struct stub_unary_method method = {\n"
             "        .request = &%s,\n"
             "        .on_request = %s_request,\n",
             method->request_descriptor, method->local);
    if (method->many_responses)
        text_add(text, "        .on_writable = %s_writable,\n", method->local);
    text_add(text,
             "        .on_close = %s_close,\n"
             "    };\n"
             "    const struct %s *own = handlers;\n"
             "    bool handled = own->%s != NULL;\n"
             "\n"
             "    stub_unary_open(handled ? &method : NULL, handlers, call, events_out, "
             "context_out);\n"
             "}\n\n",
             method->local, method->handlers, method->member);
    add_answer(text, method);
}

static void add_stream_server(struct text *text, const struct method *method)
{
    struct output *output = method->output;

    add_function(text, output_string(output, "static void %s_request(", method->local),
                 PARAMETERS("const void *handlers", "void *context", "rpc_call *call",
                            "const ProtobufCMessage *request"),
                 ")");
    text_add(text, "{\n    const struct %s *own = handlers;\n\n", method->handlers);
    add_function(text, output_string(output, "    own->%s.on_request(", method->member),
                 PARAMETERS("context", "call",
                            output_string(output, "(const %s *)request", method->request)),
                 ");");
    text_add(text, "}\n\n");

    add_function(text, output_string(output, "static void %s_open(", method->local),
                 PARAMETERS("void *handlers", "rpc_call *call",
                            "struct rpc_call_events *events_out", "void **context_out"),
                 ")");
    text_add(text,
             "{\n"
             "    const struct %s *own = handlers;\n"
             "    bool typed = own->%s.on_request != NULL;\n"
             "    struct stub_stream stream = {\n"
             "        .incoming = &%s,\n"
             "        .handlers = handlers,\n"
             "        .on_message = typed ? %s_request : NULL,\n"
             "        .on_bytes = own->%s.on_request_bytes,\n"
             "        .on_half_close = own->%s.on_half_close,\n"
             "        .on_writable = own->%s.on_writable,\n"
             "        .on_close = own->%s.on_close,\n"
             "    };\n"
             "\n",
             method->handlers, method->member, method->request_descriptor, method->local,
             method->member, method->member, method->member, method->member);
    add_function(text, "    stub_stream_open(",
                 PARAMETERS("&stream", "call",
                            output_string(output, "own->%s.on_open", method->member),
                            "own->service", "events_out", "context_out"),
                 ");");
    text_add(text, "}\n\n");
    add_answer(text, method);
}

static void add_server_source(struct output *output, struct text *text,
                              const struct service *service)
{
    text_add(text, "/* ---- %s, server ---- */\n\n", service->name);
    for (size_t i = 0; i < service->method_count; i++) {
        if (service->methods[i].many_requests)
            add_stream_server(text, &service->methods[i]);
        else
            add_unary_server(text, &service->methods[i]);
    }
    add_function(
        text, output_string(output, "size_t %s_methods(", service->prefix),
        PARAMETERS(output_string(output, "const struct %s_handlers *handlers", service->prefix),
                   "struct rpc_method *methods_out"),
        ")");
    text_add(text, "{\n    static const struct rpc_method methods[] = {\n");
    for (size_t i = 0; i < service->method_count; i++)
        text_add(text,
                 "        {\n            .path = \"%s\",\n            .on_open = %s_open,\n        "
                 "},\n",
                 service->methods[i].path, service->methods[i].local);
    text_add(text,
             "    };\n"
             "\n"
             "    return stub_methods(methods, %zu, handlers, methods_out);\n"
             "}\n\n",
             service->method_count);
}

/* ---- The source: client -------------------------------------------------------- */

static void add_request(struct text *text, const struct method *method)
{
    text_add(text,
             "    struct stub_request head = {\n"
             "        .path = \"%s\",\n"
             "        .metadata = metadata,\n"
             "        .timeout_ms = timeout_ms,\n"
             "    };\n",
             method->path);
}

/* Of a method with one response: the function that gives it its type. */
static void add_done(struct text *text, const struct method *method)
{
    struct output *output = method->output;

    add_function(text, output_string(output, "static void %s_done(", method->local),
                 PARAMETERS("stub_callback callback", "void *context",
                            "const struct rpc_status *status", "const ProtobufCMessage *response"),
                 ")");
    text_add(text, "{\n");
    if (method->many_requests) {
        add_function(text, "    void (*on_done)(",
                     PARAMETERS("void *", "const struct rpc_status *",
                                output_string(output, "const %s *", method->response)),
                     ") =");
        add_function(text, "        (void (*)(",
                     PARAMETERS("void *", "const struct rpc_status *",
                                output_string(output, "const %s *", method->response)),
                     "))callback;");
    } else {
        text_add_assignment(text, output_string(output, "    %s_done *on_done", method->client),
                            output_string(output, "(%s_done *)callback", method->client));
    }
    text_add(text, "\n");
    add_function(text, "    on_done(",
                 PARAMETERS("context", "status",
                            output_string(output, "(const %s *)response", method->response)),
                 ");");
    text_add(text, "}\n\n");
}

static void add_unary_client(struct text *text, const struct method *method)
{
    add_done(text, method);
    add_start(text, method, ")");
    text_add(text, "{\n");
    add_request(text, method);
    text_add(text,
             "    struct stub_unary unary = {\n"
             "        .response = &%s,\n"
             "        .on_done = %s_done,\n"
             "        .callback = (stub_callback)on_done,\n"
             "        .context = context,\n"
             "    };\n"
             "\n"
             "    return stub_unary_start(conn, &head, &unary, &request->base);\n"
             "}\n\n",
             method->response_descriptor, method->local);
}

static void add_client_send(struct text *text, const struct method *method)
{
    add_stream_send(text, method, ")");
    text_add(text, "{\n    stub_client_send(call, &request->base);\n}\n\n");
}

/* Of a method with many responses. */
static void add_stream_client(struct text *text, const struct method *method)
{
    struct output *output = method->output;

    add_function(text, output_string(output, "static void %s_response(", method->local),
                 PARAMETERS("const void *events", "void *context", "rpc_call *call",
                            "const ProtobufCMessage *response"),
                 ")");
    text_add(text, "{\n");
    text_add_assignment(
        text, output_string(output, "    const struct %s_events *own", method->client), "events");
    text_add(text, "\n");
    add_function(text, "    own->on_response(",
                 PARAMETERS("context", "call",
                            output_string(output, "(const %s *)response", method->response)),
                 ");");
    text_add(text, "}\n\n");

    add_start(text, method, ")");
    text_add(text, "{\n");
    add_request(text, method);
    text_add(text,
             "    bool typed = events->on_response != NULL;\n"
             "    struct stub_stream stream = {\n"
             "        .incoming = &%s,\n"
             "        .handlers = events,\n"
             "        .context = context,\n"
             "        .on_message = typed ? %s_response : NULL,\n"
             "        .on_bytes = events->on_response_bytes,\n",
             method->response_descriptor, method->local);
    if (method->many_requests)
        text_add(text, "        .on_writable = events->on_writable,\n");
    text_add(text,
             "        .on_close = events->on_close,\n"
             "    };\n"
             "\n"
             "    return %s;\n"
             "}\n\n",
             method->many_requests ? "stub_stream_start(conn, &head, &stream)"
                                   : "stub_download_start(conn, &head, &stream, &request->base)");
    if (method->many_requests)
        add_client_send(text, method);
}

/* Of a method with many requests and one response. */
static void add_upload_client(struct text *text, const struct method *method)
{
    add_done(text, method);
    add_start(text, method, ")");
    text_add(text, "{\n");
    add_request(text, method);
    text_add(text,
             "    struct stub_unary unary = {\n"
             "        .response = &%s,\n"
             "        .on_writable = events->on_writable,\n"
             "        .on_done = %s_done,\n"
             "        .callback = (stub_callback)events->on_done,\n"
             "        .context = context,\n"
             "    };\n"
             "\n"
             "    return stub_upload_start(conn, &head, &unary);\n"
             "}\n\n",
             method->response_descriptor, method->local);
    add_client_send(text, method);
}

static void add_client_source(struct text *text, const struct service *service)
{
    text_add(text, "/* ---- %s, client ---- */\n\n", service->name);
    for (size_t i = 0; i < service->method_count; i++) {
        const struct method *method = &service->methods[i];
        if (method->many_responses)
            add_stream_client(text, method);
        else if (method->many_requests)
            add_upload_client(text, method);
        else
            add_unary_client(text, method);
    }
}

/* ---- Files ----------------------------------------------------------------------- */

/* "outpost/v1/sync.proto" -> "outpost/v1/sync" */
static const char *stem_of(struct output *output, const char *file)
{
    return output_string(output, "%.*s", (int)(strlen(file) - strlen(".proto")), file);
}

static void emit_file(struct output *output, const file_proto *file)
{
    const char *stem = stem_of(output, file->name);
    const char *const sources[] = {file->name};
    const char *base = strrchr(stem, '/') != NULL ? strrchr(stem, '/') + 1 : stem;
    const char *guard = output_string(output, "%s_%s_RPC_H",
                                      name_upper(output, name_package(output, file->package, '_')),
                                      name_upper(output, base));
    struct text *header = output_file(output, "%s.rpc.h", stem);
    struct text *source = output_file(output, "%s.rpc.c", stem);

    emit_banner(header, sources, 1);
    text_add(header,
             "#ifndef %s\n#define %s\n\n#include \"outpost/rpc.h\"\n#include \"%s.pb-c.h\"\n\n",
             guard, guard, stem);
    emit_extern_c(header, true);
    emit_banner(source, sources, 1);
    text_add(source, "#include \"%s.rpc.h\"\n\n#include \"outpost/stub.h\"\n\n", stem);
    for (size_t i = 0; i < file->n_service; i++) {
        struct service service = service_of(output, file->package, file->service[i]);
        add_server_header(output, header, &service);
        add_client_header(header, &service);
        add_server_source(output, source, &service);
        add_client_source(source, &service);
    }
    source->data[--source->len] = '\0'; /* each function ended with an empty line */
    text_add(header, "\n");
    emit_extern_c(header, false);
    text_add(header, "\n#endif\n");
}

bool emit_stubs(struct output *output, const Plugin__Request *request)
{
    for (size_t i = 0; i < request->n_file_to_generate; i++) {
        const file_proto *file = schema_file(request, request->file_to_generate[i]);
        bool any = false;
        for (size_t j = 0; j < file->n_service; j++) {
            const service_proto *service = file->service[j];
            for (size_t k = 0; k < service->n_method; k++) {
                any = true;
                if (!check_method(output, request, file->name, service, service->method[k]))
                    return false;
            }
        }
        if (any)
            emit_file(output, file);
    }
    return true;
}
