use idnow_webhooks::ReceiverBuilder;

fn queued(builder: ReceiverBuilder) {
    let _ = builder.queued().build();
}

fn main() {}
