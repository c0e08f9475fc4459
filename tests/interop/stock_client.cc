// SPDX-License-Identifier: Apache-2.0
//
// gRPC's interoperability cases on stock grpc++: the peer of rpc-interop-server.
// Says `ok CASE` or `FAILED CASE` for each; the exit code is 0 when all passed.
#include "grpc/testing/test.grpc.pb.h"
#include "stock_call.h"

#include <chrono>
#include <cstdio>
#include <functional>
#include <vector>

using namespace grpc::testing;
using grpc::ClientContext;
using grpc::Status;
using grpc::StatusCode;

namespace
{

const std::vector<int> kRequestSizes = {27182, 8, 1828, 45904};
const std::vector<int> kResponseSizes = {31415, 9, 2653, 58979};
const int kLargeRequest = 271828;
const int kLargeResponse = 314159;

struct Peer {
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<TestService::Stub> stub;
};

std::string Zeros(int size)
{
    return std::string(static_cast<size_t>(size), '\0');
}

bool Check(bool passed, const char *what)
{
    if (!passed)
        std::fprintf(stderr, "  %s\n", what);
    return passed;
}

bool Ended(const Status &status, StatusCode code)
{
    if (status.error_code() != code)
        std::fprintf(stderr, "  expected code %d, got %d: %s\n", code, status.error_code(),
                     status.error_message().c_str());
    return status.error_code() == code;
}

SimpleRequest Large()
{
    SimpleRequest request;
    request.set_response_size(kLargeResponse);
    request.mutable_payload()->set_body(Zeros(kLargeRequest));
    return request;
}

bool LargeCame(const Status &status, const SimpleResponse &response)
{
    return Ended(status, StatusCode::OK) &&
           Check(response.payload().body() == Zeros(kLargeResponse), "another body");
}

StreamingOutputCallRequest Ask(const std::vector<int> &sizes)
{
    StreamingOutputCallRequest request;
    for (int size : sizes)
        request.add_response_parameters()->set_size(size);
    return request;
}

bool EmptyUnary(Peer &peer)
{
    ClientContext context;
    Empty request, response;
    return Ended(peer.stub->EmptyCall(&context, request, &response), StatusCode::OK);
}

bool LargeUnary(Peer &peer)
{
    ClientContext context;
    SimpleResponse response;
    return LargeCame(peer.stub->UnaryCall(&context, Large(), &response), response);
}

bool CompressedRequest(Peer &peer, bool compressed, bool expected, StatusCode code)
{
    ClientContext context;
    SimpleResponse response;
    SimpleRequest request = Large();
    request.mutable_expect_compressed()->set_value(expected);
    if (compressed)
        context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    Status status = peer.stub->UnaryCall(&context, request, &response);
    return code == StatusCode::OK ? LargeCame(status, response) : Ended(status, code);
}

bool ClientCompressedUnary(Peer &peer)
{
    return CompressedRequest(peer, false, true, StatusCode::INVALID_ARGUMENT) &&
           CompressedRequest(peer, true, true, StatusCode::OK) &&
           CompressedRequest(peer, false, false, StatusCode::OK);
}

bool ServerCompressedUnary(Peer &peer)
{
    for (bool compressed : {true, false}) {
        ClientContext context;
        SimpleResponse response;
        SimpleRequest request = Large();
        request.mutable_response_compressed()->set_value(compressed);
        Status status = peer.stub->UnaryCall(&context, request, &response);
        if (!LargeCame(status, response) ||
            !Check(InteropClientContextInspector::Compressed(context) == compressed,
                   "compressed, or not, against the request"))
            return false;
    }
    return true;
}

bool SendInput(grpc::ClientWriter<StreamingInputCallRequest> *writer, int size, bool compressed,
               bool expected)
{
    StreamingInputCallRequest request;
    grpc::WriteOptions options;
    request.mutable_payload()->set_body(Zeros(size));
    request.mutable_expect_compressed()->set_value(expected);
    if (!compressed)
        options.set_no_compression();
    return writer->Write(request, options);
}

bool ClientCompressedStreaming(Peer &peer)
{
    StreamingInputCallResponse response;
    {
        ClientContext context;
        context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
        auto writer = peer.stub->StreamingInputCall(&context, &response);
        SendInput(writer.get(), kRequestSizes[0], false, true);
        writer->WritesDone();
        if (!Ended(writer->Finish(), StatusCode::INVALID_ARGUMENT))
            return false;
    }
    ClientContext context;
    context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    auto writer = peer.stub->StreamingInputCall(&context, &response);
    SendInput(writer.get(), kRequestSizes[0], true, true);
    SendInput(writer.get(), kRequestSizes[3], false, false);
    writer->WritesDone();
    return Ended(writer->Finish(), StatusCode::OK) &&
           Check(response.aggregated_payload_size() == 73086, "other bytes");
}

bool ServerCompressedStreaming(Peer &peer)
{
    ClientContext context;
    StreamingOutputCallRequest request = Ask({31415, 92653});
    StreamingOutputCallResponse response;
    request.mutable_response_parameters(0)->mutable_compressed()->set_value(true);
    request.mutable_response_parameters(1)->mutable_compressed()->set_value(false);
    auto reader = peer.stub->StreamingOutputCall(&context, request);
    for (int i = 0; i < 2; i++)
        if (!Check(reader->Read(&response), "no response") ||
            !Check(InteropClientContextInspector::Compressed(context) == (i == 0),
                   "compressed, or not, against the request"))
            return false;
    return Check(!reader->Read(&response), "a response too many") &&
           Ended(reader->Finish(), StatusCode::OK);
}

bool ClientStreaming(Peer &peer)
{
    ClientContext context;
    StreamingInputCallResponse response;
    auto writer = peer.stub->StreamingInputCall(&context, &response);
    for (int size : kRequestSizes)
        SendInput(writer.get(), size, false, false);
    writer->WritesDone();
    return Ended(writer->Finish(), StatusCode::OK) &&
           Check(response.aggregated_payload_size() == 74922, "other bytes");
}

bool ServerStreaming(Peer &peer)
{
    ClientContext context;
    StreamingOutputCallResponse response;
    auto reader = peer.stub->StreamingOutputCall(&context, Ask(kResponseSizes));
    size_t count = 0;
    while (reader->Read(&response)) {
        if (!Check(count < 4 && response.payload().body() == Zeros(kResponseSizes[count]),
                   "another response"))
            return false;
        count++;
    }
    return Ended(reader->Finish(), StatusCode::OK) && Check(count == 4, "not four responses");
}

bool PingPong(Peer &peer)
{
    ClientContext context;
    StreamingOutputCallResponse response;
    auto stream = peer.stub->FullDuplexCall(&context);
    for (size_t i = 0; i < 4; i++) {
        StreamingOutputCallRequest request = Ask({kResponseSizes[i]});
        request.mutable_payload()->set_body(Zeros(kRequestSizes[i]));
        if (!Check(stream->Write(request) && stream->Read(&response) &&
                       response.payload().body() == Zeros(kResponseSizes[i]),
                   "another response"))
            return false;
    }
    stream->WritesDone();
    return Check(!stream->Read(&response), "a response too many") &&
           Ended(stream->Finish(), StatusCode::OK);
}

bool EmptyStream(Peer &peer)
{
    ClientContext context;
    StreamingOutputCallResponse response;
    auto stream = peer.stub->FullDuplexCall(&context);
    stream->WritesDone();
    return Check(!stream->Read(&response), "a response") && Ended(stream->Finish(), StatusCode::OK);
}

void AddMetadata(ClientContext *context)
{
    context->AddMetadata("x-grpc-test-echo-initial", "test_initial_metadata_value");
    context->AddMetadata("x-grpc-test-echo-trailing-bin", "\xab\xab\xab");
}

bool Echoed(const ClientContext &context)
{
    const auto &initial = context.GetServerInitialMetadata();
    const auto &trailing = context.GetServerTrailingMetadata();
    auto first = initial.find("x-grpc-test-echo-initial");
    auto last = trailing.find("x-grpc-test-echo-trailing-bin");
    return Check(first != initial.end() && first->second == "test_initial_metadata_value",
                 "the initial metadata did not come back") &&
           Check(last != trailing.end() && last->second == "\xab\xab\xab",
                 "the trailing metadata did not come back");
}

bool CustomMetadata(Peer &peer)
{
    {
        ClientContext context;
        SimpleResponse response;
        AddMetadata(&context);
        if (!LargeCame(peer.stub->UnaryCall(&context, Large(), &response), response) ||
            !Echoed(context))
            return false;
    }
    ClientContext context;
    StreamingOutputCallResponse response;
    AddMetadata(&context);
    auto stream = peer.stub->FullDuplexCall(&context);
    stream->Write(Ask({kResponseSizes[0]}));
    stream->WritesDone();
    while (stream->Read(&response))
        continue;
    return Ended(stream->Finish(), StatusCode::OK) && Echoed(context);
}

bool HasStatus(const Status &status, const std::string &message)
{
    return Ended(status, StatusCode::UNKNOWN) &&
           Check(status.error_message() == message, "another status message");
}

bool UnaryStatus(Peer &peer, const std::string &message)
{
    ClientContext context;
    SimpleRequest request;
    SimpleResponse response;
    request.mutable_response_status()->set_code(2);
    request.mutable_response_status()->set_message(message);
    return HasStatus(peer.stub->UnaryCall(&context, request, &response), message);
}

bool StatusCodeAndMessage(Peer &peer)
{
    const std::string message = "test status message";
    ClientContext context;
    StreamingOutputCallRequest request;
    StreamingOutputCallResponse response;
    auto stream = peer.stub->FullDuplexCall(&context);
    request.mutable_response_status()->set_code(2);
    request.mutable_response_status()->set_message(message);
    stream->Write(request);
    stream->WritesDone();
    while (stream->Read(&response))
        continue;
    return HasStatus(stream->Finish(), message) && UnaryStatus(peer, message);
}

bool SpecialStatusMessage(Peer &peer)
{
    return UnaryStatus(peer, "\t\ntest with whitespace\r\nand Unicode BMP \xe2\x98\xba and non-BMP "
                             "\xf0\x9f\x98\x88\t\n");
}

bool UnimplementedMethod(Peer &peer)
{
    ClientContext context;
    Empty request, response;
    return Ended(peer.stub->UnimplementedCall(&context, request, &response),
                 StatusCode::UNIMPLEMENTED);
}

bool UnimplementedServiceCase(Peer &peer)
{
    ClientContext context;
    Empty request, response;
    auto stub = UnimplementedService::NewStub(peer.channel);
    return Ended(stub->UnimplementedCall(&context, request, &response), StatusCode::UNIMPLEMENTED);
}

bool CancelAfterBegin(Peer &peer)
{
    ClientContext context;
    StreamingInputCallResponse response;
    auto writer = peer.stub->StreamingInputCall(&context, &response);
    context.TryCancel();
    return Ended(writer->Finish(), StatusCode::CANCELLED);
}

bool CancelAfterFirstResponse(Peer &peer)
{
    ClientContext context;
    StreamingOutputCallResponse response;
    auto stream = peer.stub->FullDuplexCall(&context);
    stream->Write(Ask({kResponseSizes[0]}));
    if (!Check(stream->Read(&response), "no response"))
        return false;
    context.TryCancel();
    return Ended(stream->Finish(), StatusCode::CANCELLED);
}

bool TimeoutOnSleepingServer(Peer &peer)
{
    ClientContext context;
    StreamingOutputCallRequest request;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(1));
    auto stream = peer.stub->FullDuplexCall(&context);
    request.mutable_payload()->set_body(Zeros(kRequestSizes[0]));
    stream->Write(request);
    return Ended(stream->Finish(), StatusCode::DEADLINE_EXCEEDED);
}

const std::vector<std::pair<std::string, std::function<bool(Peer &)>>> kCases = {
    {"empty_unary", EmptyUnary},
    {"large_unary", LargeUnary},
    {"client_streaming", ClientStreaming},
    {"server_streaming", ServerStreaming},
    {"ping_pong", PingPong},
    {"empty_stream", EmptyStream},
    {"client_compressed_unary", ClientCompressedUnary},
    {"client_compressed_streaming", ClientCompressedStreaming},
    {"server_compressed_unary", ServerCompressedUnary},
    {"server_compressed_streaming", ServerCompressedStreaming},
    {"custom_metadata", CustomMetadata},
    {"status_code_and_message", StatusCodeAndMessage},
    {"special_status_message", SpecialStatusMessage},
    {"unimplemented_method", UnimplementedMethod},
    {"unimplemented_service", UnimplementedServiceCase},
    {"cancel_after_begin", CancelAfterBegin},
    {"cancel_after_first_response", CancelAfterFirstResponse},
    {"timeout_on_sleeping_server", TimeoutOnSleepingServer},
};

} // namespace

int main(int argc, char **argv)
{
    auto flags = read_flags(argc, argv);
    auto credentials = grpc::InsecureChannelCredentials();
    grpc::ChannelArguments arguments;
    bool passed = true;

    if (flags["use_tls"] == "true") {
        grpc::SslCredentialsOptions options;
        options.pem_root_certs = read_file(flags["ca_file"]);
        credentials = grpc::SslCredentials(options);
    }
    if (!flags["server_host_override"].empty())
        arguments.SetSslTargetNameOverride(flags["server_host_override"]);
    for (const auto &one : kCases) {
        Peer peer;
        peer.channel = grpc::CreateCustomChannel(flags["server_host"] + ":" + flags["server_port"],
                                                 credentials, arguments);
        peer.stub = TestService::NewStub(peer.channel);
        bool good = one.second(peer);
        std::printf("%s %s\n", good ? "ok    " : "FAILED", one.first.c_str());
        passed = passed && good;
    }
    return passed ? 0 : 1;
}
